#pragma once
#include <string>
#include <vector>

#include "cli/model_options.h"
#include "train/run.h"

namespace icedit::cli {

struct TrainOptions {
  std::vector<std::string> overrides;
  RunOptions run;
  ModelOptions model;  // threads
  bool help = false;
};

// Options that write into `options`, which must outlive them.
std::vector<SettingGroup> train_option_groups(TrainOptions& options);
std::string train_help();

// --set, of all commands that read a configuration.
Setting override_option(std::vector<std::string>& overrides);
// The configuration that was named, or else XFL_CONFIG's, as ICEdit's script takes it. `command`:
// for errors. Throws UsageError, and as read_config.
TrainConfig read_train_config(const std::string& command, const std::vector<std::string>& places,
                              const std::vector<std::string>& overrides);

}  // namespace icedit::cli
