#pragma once
// What `icedit reproduce` takes.
#include <optional>
#include <string>
#include <vector>

#include "cli/model_options.h"
#include "io/image.h"

namespace icedit::cli {

struct ReproduceOptions {
  std::string picture, original;  // original: "" for the one beside the picture
  ModelOptions model;
  ReadOptions read;
  std::optional<double> psnr;  // dB that are close enough; unset: only identical is
  bool json = false, help = false;
};

std::vector<SettingGroup> reproduce_option_groups(ReproduceOptions& options);

}  // namespace icedit::cli
