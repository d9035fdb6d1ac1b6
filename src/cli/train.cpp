// icedit train: a configuration in ICEdit's words, and a run comes out.
#include <cstdlib>
#include <iostream>

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/paths.h"
#include "cli/train_options.h"
#include "dist/launch_env.h"
#include "edit/threads.h"
#include "train/config.h"

namespace icedit::cli {

Setting override_option(std::vector<std::string>& overrides) {
  return {"set", "KEY=VALUE",
          "overrides the configuration, as in train.batch_size=4; may be given several times", "",
          [&overrides](const Given& given) { overrides.push_back(given.text); }};
}

TrainConfig read_train_config(const std::string& command, const std::vector<std::string>& places,
                              const std::vector<std::string>& overrides) {
  if (places.size() > 1)
    throw UsageError(
        str("icedit ", command, " takes one configuration, but '", places[1], "' is there too"));
  if (!places.empty()) return read_config(places[0], overrides);
  const char* from_environment = std::getenv("XFL_CONFIG");
  if (from_environment == nullptr || *from_environment == '\0')
    throw UsageError(str("which configuration? icedit ", command,
                         " configs/normal_lora.yaml, or XFL_CONFIG in the environment"));
  return read_config(from_environment, overrides);
}

std::vector<SettingGroup> train_option_groups(TrainOptions& o) {
  const SettingGroup run = {
      "The run",
      {override_option(o.overrides),
       {"resume", "latest|PATH",
        "goes on from the last checkpoint below save_path, of a run's folder, or from one", "",
        into(o.run.resume)},
       {"run-folder", "FOLDER", "where a new run is kept", "save_path/YYYYMMDD-HHMMSS",
        into(o.run.run_folder)},
       {"steps", "N", "ends after N steps in all; the schedule stays that of train.max_steps", "",
        integer(o.run.steps, 1)},
       {"trace", "FILE",
        "safetensors with draws, x_t, prediction, loss and every gradient; of one step, or --steps",
        "", into(o.run.trace)},
       {"draws", "keyed|reference", "reference: one torch generator, in the published order",
        "keyed",
        [&o](const Given& given) { o.overrides.push_back("train.draws=" + given.text); }}}};
  const SettingGroup machine = {
      "Machine",
      {{"device", "DEVICE", "auto, cpu, cuda or cuda:N (CUDA is unmeasured)", "auto",
        into(o.run.device)},
       {"threads", "N", "of computation", "one a free core", integer(o.model.threads, 1, 4096)}}};
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
  if (!options.run.trace.empty()) {
    expect_free(options.run.trace, /*force=*/false, "--trace", /*may_force=*/false);
    if (options.run.steps == 0) options.run.steps = 1;
  }
  const TrainConfig config = read_train_config("train", rest, options.overrides);
  const Threads threads(options.model.threads, LaunchEnv::read().alone());
  const Path folder = run_training(config, options.run);
  if (!folder.empty()) std::cout << folder.string() << "\n";
  return 0;
}

}  // namespace icedit::cli
