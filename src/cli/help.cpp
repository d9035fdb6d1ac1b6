#include "cli/help.h"

#include <sstream>

#include "base/error.h"

namespace icedit::cli {
namespace {

constexpr size_t kColumns = 100, kRight = 34;

std::string flag(const std::string& name) {
  return (name.size() == 1 ? "-" : "--") + name;
}

std::string option_line(const Setting& option) {
  std::string left = "  ";
  for (const std::string& alias : option.aliases) {
    if (alias.size() == 1) left += flag(alias) + ", ";
  }
  left += flag(option.name);
  if (!option.value.empty()) left += " " + option.value;
  std::string right = option.help;
  std::string others;
  for (const std::string& alias : option.aliases) {
    if (alias.size() > 1) others += (others.empty() ? "" : ", ") + flag(alias);
  }
  if (!option.fallback.empty()) right += " [" + option.fallback + "]";
  if (!others.empty()) right += " (also " + others + ")";
  return help_line(left, right);
}

}  // namespace

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
