#pragma once
// The pipeline's stages, each alone on named tensors, so that they can be compared with Python one
// by one. Names and shapes are those of tests/goldens.
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/model_options.h"

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

// The tensors of --in, by name; those that nobody asks for are ignored.
class StageInput {
 public:
  explicit StageInput(const std::string& file);
  Tensor get(
      const std::string& name) const;  // throws DataError that names the tensor and what there is
  Tensor find(const std::string& name) const;  // undefined when it is not there
  const std::string& file() const { return file_; }

 private:
  std::string file_;
  std::map<std::string, Tensor> tensors_;
};

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

struct Stage {
  std::string name, reads, writes;
  bool needs_input;
  NamedTensors (*run)(const StageOptions& options);
};

const std::vector<Stage>& stages();

}  // namespace icedit::cli
