// icedit train: a configuration in ICEdit's words, and a run comes out.
#include <cstdlib>
#include <iostream>

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/train_options.h"
#include "train/config.h"

namespace icedit::cli {

std::vector<OptionGroup> train_option_groups(TrainOptions& o) {
  const OptionGroup run = {
      "The run",
      {{"set",
        {},
        "KEY=VALUE",
        "overrides the configuration, as in train.batch_size=4; may be given several times",
        "",
        [&o](const Given& given) { o.overrides.push_back(given.text); }},
       {"resume",
        {},
        "latest|PATH",
        "goes on from the last checkpoint below save_path, of a run's folder, or from one",
        "",
        into(o.run.resume)},
       {"run-folder",
        {},
        "FOLDER",
        "where a new run is kept",
        "save_path/YYYYMMDD-HHMMSS",
        into(o.run.run_folder)},
       {"steps",
        {},
        "N",
        "ends after N steps in all; the schedule stays that of train.max_steps",
        "",
        [&o](const Given& given) { o.run.steps = integer_value(given, 1); }},
       {"trace",
        {},
        "FILE",
        "safetensors with draws, x_t, prediction, loss and every gradient; of one step, or --steps",
        "",
        into(o.run.trace)},
       {"draws",
        {},
        "keyed|reference",
        "reference: one torch generator, in the published order",
        "keyed",
        [&o](const Given& given) { o.overrides.push_back("train.draws=" + given.text); }}}};
  const OptionGroup machine = {
      "Machine",
      {{"device",
        {},
        "DEVICE",
        "auto, cpu, cuda or cuda:N (CUDA is unmeasured)",
        "auto",
        into(o.run.device)},
       {"threads", {}, "N", "of computation", "one a core", [&o](const Given& given) {
          o.model.threads = integer_value(given, 1, 4096);
        }}}};
  return {run, machine, general_options(o.help)};
}

std::string train_help() {
  TrainOptions options;
  return command_help(
      {"icedit train CONFIG.yaml [--set KEY=VALUE]... [--resume latest]"},
      "CONFIG is one of ICEdit's YAML files, or ours in configs/; without it XFL_CONFIG names it. "
      "On "
      "several processes: torchrun --no-python --nproc-per-node N icedit train CONFIG.",
      train_option_groups(options), exit_codes_help());
}

int run_train(const Arguments& arguments) {
  TrainOptions options;
  const std::vector<std::string> rest =
      parse_arguments("train", train_option_groups(options), arguments);
  if (options.help) {
    std::cout << train_help();
    return 0;
  }
  if (rest.size() > 1)
    throw UsageError(str("icedit train takes one configuration, but '", rest[1], "' is there too"));
  const char* from_environment = std::getenv("XFL_CONFIG");
  if (rest.empty() && from_environment == nullptr)
    throw UsageError("which configuration? icedit train configs/normal_lora.yaml, or XFL_CONFIG");
  if (!options.run.trace.empty() && options.run.steps == 0) options.run.steps = 1;
  const TrainConfig config =
      read_config(rest.empty() ? from_environment : rest[0], options.overrides);
  use_threads(options.model);
  std::cout << run_training(config, options.run).string() << "\n";
  return 0;
}

}  // namespace icedit::cli
