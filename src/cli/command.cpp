#include "cli/command.h"

#include <iostream>

#include "base/error.h"
#include "base/nearest.h"
#include "base/version.h"
#include "cli/arguments.h"

namespace icedit::cli {
namespace {

std::string overview() {
  std::string text =
      "icedit edits pictures by instructions (ICEdit on FLUX.1 Fill).\n\n"
      "  icedit edit photo.jpg \"make it winter\" -o out.png\n\n"
      "Commands:\n";
  for (const Command& command : commands()) text += help_line("  " + command.name, command.summary);
  text += help_line("  help COMMAND", "its options; also icedit COMMAND --help");
  return text + "\n" + exit_codes_help();
}

std::vector<std::string> names() {
  std::vector<std::string> all = {"help"};
  for (const Command& command : commands()) all.push_back(command.name);
  return all;
}

int dispatch(const std::string& name, const Arguments& rest) {
  for (const Command& command : commands()) {
    if (command.name != name) continue;
    const int code = command.run(rest);
    if (!std::cout.flush()) {
      throw IoError("the result cannot be written to standard output; is the disk full?");
    }
    return code;
  }
  const std::string list = " (icedit --help lists the commands)";
  throw UsageError(str("'", name, "' is no command of icedit", did_you_mean(name, names()), list));
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {"edit", "edit pictures by an instruction", run_edit},
      {"serve", "a page to edit pictures in, and OpenAI's images API", run_serve},
      {"plan", "what an edit or a training takes of memory and time here, and how to fit it",
       run_plan},
      {"bench", "where the time of an edit goes on this machine, part by part", run_bench},
      {"reproduce", "run a picture's recipe again and compare", run_reproduce},
      {"eval", "edit the rows of a data set and say how well", run_eval},
      {"convert", "an adapter in another layout, or a model with adapters merged in", run_convert},
      {"inspect", "what is in a checkpoint, an adapter, a model folder or a picture", run_inspect},
      {"stage", "run one stage of the pipeline alone, on tensors from a file", run_stage},
      {"train", "train a LoRA or MoE-LoRA on pairs of pictures", run_train},
      {"data", "show, check, pack and get training data", run_data},
  };
  return all;
}

int run_command(const Arguments& arguments) {
  if (arguments.empty()) {
    std::cerr << overview();
    return static_cast<int>(ExitCode::kUsage);
  }
  const std::string& name = arguments.front();
  const Arguments rest(arguments.begin() + 1, arguments.end());
  if (name == "--help" || name == "-h" || (name == "help" && rest.empty())) {
    std::cout << overview();
    return 0;
  }
  if (name == "--version" || name == "-V" || name == "version") {
    std::cout << "icedit " << version() << "\n";
    return 0;
  }
  if (name == "help") return dispatch(rest.front(), {"--help"});
  return dispatch(name, rest);
}

}  // namespace icedit::cli
