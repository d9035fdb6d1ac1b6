#pragma once
// The pipeline's stages, each alone on named tensors, so that they can be compared with Python one
// by one. Names and shapes are those of tests/goldens.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/model_options.h"
#include "nn/trace.h"

namespace icedit::cli {

struct StageOptions {
  ModelOptions model;
  std::string in, out, text;
  bool all = false, force = false, help = false;
  int64_t clip_length = 77, t5_length = 512;
  int64_t height = 0, width = 0;
  std::optional<int64_t> steps;
  std::optional<double> guidance;
  double tolerance = 1;
};

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
class StageInputs;

struct Stage {
  std::string name, reads, writes;
  bool needs_input;
  // `trace`: null unless all intermediates are wanted.
  NamedTensors (*run)(StageInputs& in, const StageOptions& options, Trace* trace);
  std::string trace_prefix = "";  // of their names
};

const std::vector<Stage>& stages();
// Throws DataError for a tensor that is missing in --in, with what there is.
NamedTensors outputs_of(const Stage& stage, const StageOptions& options);

}  // namespace icedit::cli
