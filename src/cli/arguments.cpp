#include "cli/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "base/counted.h"
#include "base/error.h"
#include "base/log.h"
#include "base/nearest.h"

namespace icedit::cli {
namespace {

constexpr size_t kColumns = 100, kRight = 34;

// "--output", "-o", ...: the name's, then the other spellings'.
std::vector<std::string> flags_of(const Setting& option) {
  std::vector<std::string> flags = {option.name};
  flags.insert(flags.end(), option.aliases.begin(), option.aliases.end());
  for (std::string& flag : flags) flag.insert(0, flag.size() == 1 ? "-" : "--");
  return flags;
}

// --num_images -> --num-images; values and what stands behind "--" stay.
std::vector<std::string> with_dashes(std::vector<std::string> arguments) {
  for (std::string& argument : arguments) {
    if (argument == "--") break;
    if (!argument.starts_with("--")) continue;
    const auto end =
        argument.begin() + static_cast<long>(std::min(argument.find('='), argument.size()));
    // A sentence that begins with dashes is no flag.
    if (std::find(argument.begin(), end, ' ') == end) std::replace(argument.begin(), end, '_', '-');
  }
  return arguments;
}

// Every letter is one slip away from every other, so of a short flag only the other case is likely.
std::string suggestion(const std::string& word, const std::vector<std::string>& known) {
  if (word.size() != 2) return did_you_mean(word, known);
  const auto letter = static_cast<unsigned char>(word[1]);
  const char other =
      static_cast<char>(std::isupper(letter) ? std::tolower(letter) : std::toupper(letter));
  const std::string flag = {word[0], other};
  const bool there = std::find(known.begin(), known.end(), flag) != known.end();
  return there ? "; did you mean '" + flag + "'?" : "";
}

[[noreturn]] void throw_unknown(const std::string& command, const std::vector<std::string>& known,
                                const std::string& argument) {
  const std::string word = argument.substr(0, argument.find('='));
  if (word.find(' ') != std::string::npos) {
    throw UsageError(
        str("'", argument, "' looks like an option; put -- before a text that begins with a dash"));
  }
  throw UsageError(str("icedit ", command, " has no option '", word, "'", suggestion(word, known),
                       " (icedit ", command, " --help lists them)"));
}

struct Registered {
  const Setting* option;
  CLI::Option* parsed;
};

// Everything as text: the setters know types and bounds, and say so in the same words everywhere.
std::vector<Registered> add_options(CLI::App& app, const std::vector<SettingGroup>& groups,
                                    std::vector<std::string>& sink) {
  std::vector<Registered> added;
  for (const SettingGroup& group : groups) {
    for (const Setting& option : group.settings) {
      CLI::Option* parsed = nullptr;
      if (option.value.empty()) {
        parsed = app.add_flag(joined(flags_of(option)));
        parsed->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
      } else {
        // One value behind each flag; without the second call CLI11 would take "[a,b]" apart.
        parsed = app.add_option(joined(flags_of(option)), sink)->allow_extra_args(false);
      }
      added.push_back({&option, parsed});
    }
  }
  return added;
}

[[noreturn]] void throw_no_value(const Setting& option, const std::string& why) {
  throw UsageError(str("--", option.name, why, ", expected ", option.value, ": ", option.help));
}

// CLI11 ends with an error of its own words where nothing is left that could be the value.
[[noreturn]] void throw_parse_error(const std::string& command,
                                    const std::vector<Registered>& added, const std::string& what) {
  for (const auto& [option, parsed] : added) {
    if (what.starts_with(parsed->get_name() + ":")) throw_no_value(*option, " has no value");
  }
  throw UsageError(str("icedit ", command, ": ", what));
}

std::string option_line(const Setting& option) {
  std::string left = "  ", others;
  const std::vector<std::string> flags = flags_of(option);
  for (size_t i = 1; i < flags.size(); ++i) {
    if (flags[i].size() == 2)
      left += flags[i] + ", ";
    else
      others += (others.empty() ? "" : ", ") + flags[i];
  }
  left += flags[0];
  if (!option.value.empty()) left += " " + option.value;
  std::string right = option.help;
  if (!option.fallback.empty()) right += " [" + option.fallback + "]";
  if (!others.empty()) right += " (also " + others + ")";
  return help_line(left, right);
}

}  // namespace

std::vector<std::string> parse_arguments(const std::string& command,
                                         const std::vector<SettingGroup>& groups,
                                         const std::vector<std::string>& arguments) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::vector<std::string> sink;
  const std::vector<Registered> added = add_options(app, groups, sink);
  std::vector<std::string> reversed = with_dashes(arguments);
  std::reverse(reversed.begin(), reversed.end());  // as CLI11 wants them
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    throw_parse_error(command, added, error.what());
  }
  std::vector<std::string> flags;
  for (const auto& [option, parsed] : added) {
    const std::vector<std::string> own = flags_of(*option);
    flags.insert(flags.end(), own.begin(), own.end());
  }
  std::vector<std::string> rest;
  bool only_rest = false;
  for (const std::string& argument : app.remaining()) {
    const bool mark = argument == "--" && !only_rest;
    only_rest = only_rest || mark;
    const bool number =
        argument.size() > 1 && (std::isdigit(argument[1]) != 0 || argument[1] == '.');
    if (!only_rest && argument.size() > 1 && argument[0] == '-' && !number)
      throw_unknown(command, flags, argument);
    if (!mark) rest.push_back(argument);
  }
  for (const auto& [option, parsed] : added) {
    for (const std::string& text : parsed->results()) {
      // CLI11 takes whatever comes next, which lets "-3" be a value.
      const bool is_flag =
          text == "--" || std::find(flags.begin(), flags.end(), text) != flags.end();
      if (!option->value.empty() && is_flag)
        throw_no_value(*option, str(" has no value: the next word is ", text));
      // What a variable of the shell leaves that is not set.
      if (!option->value.empty() && text.empty()) throw_no_value(*option, " is empty");
      option->set({"--" + option->name, text});
    }
  }
  return rest;
}

SettingGroup general_options(bool& help) {
  const auto level = [](log::Level value) {
    return [value](const Given& given) {
      if (switch_value(given)) log::set_level(value);
    };
  };
  return {"General",
          {{"quiet, q", "", "on stderr only warnings and errors; the result on stdout as ever", "",
            level(log::Level::kQuiet)},
           {"verbose, v", "", "say more about what is done", "", level(log::Level::kVerbose)},
           {"help, h", "", "this text", "", into(help)}}};
}

std::string help_line(const std::string& left, const std::string& right) {
  std::string line = left;
  if (line.size() + 2 > kRight)
    line += "\n" + std::string(kRight, ' ');
  else
    line.resize(kRight, ' ');
  std::istringstream words(right);
  size_t column = kRight;
  for (std::string word; words >> word; column += word.size() + 1) {
    if (column > kRight && column + word.size() > kColumns) {
      line += "\n" + std::string(kRight, ' ');
      column = kRight;
    }
    line += (column > kRight ? " " : "") + word;
  }
  return line + "\n";
}

std::string command_help(const std::vector<std::string>& usage, const std::string& about,
                         const std::vector<SettingGroup>& groups, const std::string& after) {
  std::string text = "Usage:\n";
  for (const std::string& line : usage) text += "  " + line + "\n";
  if (!about.empty()) text += "\n" + about + "\n";
  for (const SettingGroup& group : groups) {
    text += "\n" + group.title + ":\n";
    for (const Setting& option : group.settings) text += option_line(option);
  }
  if (!after.empty()) text += "\n" + after;
  return text;
}

std::string exit_codes_help() {
  std::string text = "Exit codes:\n";
  const auto line = [&](ExitCode code, const std::string& meaning) {
    text += help_line("  " + std::to_string(static_cast<int>(code)), meaning);
  };
  line(ExitCode::kOk, "done");
  line(ExitCode::kFailure, "a checkpoint, an adapter or data that is wrong; out of memory");
  line(ExitCode::kUsage, "wrong options or values; a file that exists and --force is missing");
  line(ExitCode::kNoInput, "an input file is not there, or is no picture that can be read");
  line(ExitCode::kModelUnavailable, "a model, an adapter or a device is not there");
  line(ExitCode::kIo, "reading or writing failed: a full disk, no permission");
  line(ExitCode::kInterrupted, "stopped by Ctrl+C or SIGTERM");
  return text;
}

}  // namespace icedit::cli
