// icedit data: training data, looked at without training.
#include "cli/data.h"

#include <iostream>

#include "base/error.h"
#include "base/nearest.h"
#include "base/process.h"
#include "cli/arguments.h"
#include "cli/command.h"

namespace icedit::cli {
namespace {

std::string data_overview() {
  std::string text = "Usage:\n  icedit data COMMAND ...\n\n";
  for (const DataCommand& command : data_commands())
    text += help_line("  " + command.usage, command.about);
  return text + help_line("  icedit data COMMAND --help", "its options") + "\n" + exit_codes_help();
}

const DataCommand& find_command(const std::string& name) {
  std::vector<std::string> names;
  for (const DataCommand& command : data_commands()) {
    if (command.name == name) return command;
    names.push_back(command.name);
  }
  throw UsageError(
      str("icedit data has no '", name, "'", did_you_mean(name, names), "; there are ", names));
}

}  // namespace

const std::vector<DataCommand>& data_commands() {
  static const std::vector<DataCommand> all = {
      {"show", "icedit data show CONFIG.yaml [--index N] [-o sample.png]",
       "micro-batches as the trainer sees them: diptych, mask and prompt", show_groups, show_data},
      {"check", "icedit data check CONFIG.yaml|FILES...",
       "what is wrong with a data set, in one pass; exit code 1 where a row cannot be read",
       check_groups, check_data},
      {"pack", "icedit data pack FOLDER -o x.parquet",
       "a folder of pairs as one Parquet file in MagicBrush's columns", pack_groups, pack_data},
      {"fetch", "icedit data fetch [magicbrush|omniedit]",
       "what is there of the published sets, and the commands that get the rest", fetch_groups,
       fetch_data},
  };
  return all;
}

std::string data_help(const DataCommand& command) {
  DataOptions options;
  return command_help({command.usage}, command.about, command.groups(options), exit_codes_help());
}

Setting json_option(DataOptions& options) {
  return {"json", "", "as JSON", "", into(options.json)};
}

Setting threads_option(DataOptions& options) {
  return {"threads", "N", "that read and decode", "one a core", integer(options.threads, 1, 1024)};
}

std::vector<Setting> output_options(DataOptions& options, const std::string& help) {
  return {{"output, o", "FILE", help, "", into(options.output)},
          {"force, f", "", "overwrite it where it exists", "", into(options.force)}};
}

int threads_of(const DataOptions& options) {
  return options.threads > 0 ? int(options.threads) : available_cores();
}

int run_data(const Arguments& arguments) {
  if (arguments.empty()) {
    std::cerr << data_overview();
    return static_cast<int>(ExitCode::kUsage);
  }
  if (arguments[0] == "--help" || arguments[0] == "-h") {
    std::cout << data_overview();
    return 0;
  }
  const DataCommand& command = find_command(arguments[0]);
  DataOptions options;
  options.places = parse_arguments("data " + command.name, command.groups(options),
                                   {arguments.begin() + 1, arguments.end()});
  if (options.help) {
    std::cout << data_help(command);
    return 0;
  }
  return command.run(options);
}

}  // namespace icedit::cli
