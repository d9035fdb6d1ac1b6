#include "models/single_file.h"

#include <algorithm>

#include "base/error.h"
#include "models/flux/names.h"
#include "nn/comfy_quant.h"
#include "nn/fp8_scales.h"

namespace icedit {
namespace {

const ComponentMarks kFluxMarks = {
    "FLUX transformer",
    {"", "model.diffusion_model.", "diffusion_model.", "transformer.", "model."},
    {"img_in.weight", "x_embedder.weight", "double_blocks.0.img_attn.qkv.weight",
     "transformer_blocks.0.attn.to_q.weight"},
    {}};

// 64 input channels: dev and schnell. 128: Canny and Depth. Fill adds the masked picture and the
// mask.
void expect_fill(const Checkpoint& file) {
  if (!file.has("img_in.weight") || !file.has("final_layer.linear.weight")) return;
  const auto in = file.entry("img_in.weight").info.shape;
  const auto out = file.entry("final_layer.linear.weight").info.shape;
  if (in.size() != 2 || out.size() != 2 || in[1] > 2 * out[0]) return;
  throw CheckpointError(
      str(file.where(), ": tensor 'img_in.weight' is ", in, ", expected [", in[0],
          ", 384]. Is this FLUX.1-Fill? FLUX.1-dev has 64 input channels, Fill has 384."));
}

class Translation {
 public:
  explicit Translation(const Checkpoint& file) : file_(file) {}

  Checkpoint run() {
    for (const auto& [name, entry] : file_.entries()) add(name, entry);
    return {file_.where(), std::move(entries_)};
  }

 private:
  void add(const std::string& name, const Checkpoint::Entry& entry) {
    const size_t dot = name.rfind('.');
    const std::string module = name.substr(0, dot == std::string::npos ? 0 : dot);
    std::string part = name.substr(dot == std::string::npos ? 0 : dot + 1);
    const std::vector<std::string> targets = diffusers_modules(module);
    // A name that we do not know stays: the model says that it belongs to no part of it.
    if (targets.empty()) return put(name, entry);
    if (part == "scale") part = "weight";  // BFL's name for a norm's weight
    const bool for_all = is_fp8_mark(part) || part == "weight_codebook" ||
                         (is_fp8_scale(part) && entry.info.numel() == 1);
    if (targets.size() == 1) {
      Checkpoint::Entry whole = entry;
      whole.swap_halves = halves_are_swapped(module) && !for_all;
      if (whole.swap_halves && (whole.info.shape.empty() || whole.info.shape[0] % 2 != 0))
        fail(name, entry);
      return put(targets[0] + "." + part, whole);
    }
    if (for_all) {
      for (const auto& target : targets) put(target + "." + part, entry);
      return;
    }
    const auto& shape = entry.info.shape;
    const std::vector<RowRange> rows = shape.empty()
                                           ? std::vector<RowRange>{}
                                           : part_rows(targets.size(), shape[0], hidden(module));
    if (rows.empty()) fail(name, entry);
    for (size_t i = 0; i < targets.size(); ++i)
      put(targets[i] + "." + part, entry.rows(rows[i].begin, rows[i].end));
  }

  // The matrix's input width: q, k and v are as high as it is wide.
  int64_t hidden(const std::string& module) const { return matrix_inputs(file_, module); }

  void put(const std::string& name, const Checkpoint::Entry& entry) {
    const auto [place, added] = entries_.emplace(name, entry);
    if (added) return;
    throw CheckpointError(str(file_.where(), ": tensors '", place->second.stored_name, "' and '",
                              entry.stored_name, "' are both '", name,
                              "'; the file holds the model twice."));
  }

  [[noreturn]] void fail(const std::string& name, const Checkpoint::Entry& entry) const {
    throw CheckpointError(
        str(file_.where(), ": tensor '", name, "' is ", entry.info.shape,
            ", which does not divide into its parts (q, k, v and the rest have the hidden size's ",
            "rows). Is the file damaged, or another model's?"));
  }

  const Checkpoint& file_;
  std::map<std::string, Checkpoint::Entry> entries_;
};

}  // namespace

Checkpoint flux_single_file(const Checkpoint& file) {
  const Checkpoint transformer = component_of(file, kFluxMarks);
  expect_fill(transformer);
  return Translation(transformer).run();
}

}  // namespace icedit
