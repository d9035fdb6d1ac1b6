#pragma once
// Whether an adapter fits a model: the one answer for editing, training, merging and inspecting. It
// needs the shapes of the model's matrices only.
#include <map>
#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "io/checkpoint.h"
#include "nn/weights.h"

namespace icedit {

using LinearShapes = std::map<std::string, Shape>;  // a model's [out, in] under their paths
LinearShapes shapes_of(const LinearList& linears);
LinearShapes shapes_of(const Checkpoint& transformer);

struct FittedAdapter {
  Path path;
  // Those that the model has, plain ones first; an A with fewer columns than the Linear has inputs
  // (made for FLUX.1-dev) got zeros.
  std::vector<AdapterModule> modules;
  std::vector<std::string> padded;                  // their names
  std::vector<std::string> problems;                // what does not fit, a sentence each
  std::vector<std::string> unmatched;               // tensors that go nowhere
  std::vector<std::string> notes;                   // the file's
  size_t modules_in_file = 0, tensors_in_file = 0;  // all that are for the transformer
};
FittedAdapter fit_adapter(const LinearShapes& linears, const AdapterFile& file);

struct AttachOptions {
  std::string name;  // for lines and errors; "": the file's path
  double scale = 1.0;
  bool allow_partial =
      false;  // tensors that fit nothing, or have a wrong shape, are a warning and not an error
  bool allow_zero = false;  // so may B be: before training, and in single stages
  bool trainable = false;   // the adapter's tensors become f32 leaves that require gradients
  bool quiet = false;       // says nothing: other values will take their place
};

// Throws CheckpointError: tensors that fit no Linear or have another shape, nothing that fits, B
// all zero; UsageError: the scale. Logs what is padded and, with allow_partial, what is left out.
void expect_fit(const FittedAdapter& fitted, const AttachOptions& options);

}  // namespace icedit
