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
std::vector<OptionGroup> train_option_groups(TrainOptions& options);
std::string train_help();

}  // namespace icedit::cli
