#include "nn/fp8_scales.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

#include "base/error.h"

namespace icedit {
namespace {

using Names = std::array<std::string_view, 2>;
constexpr Names kWeightScales = {"scale_weight", "weight_scale"};
constexpr Names kInputScales = {"scale_input", "input_scale"};
constexpr Names kFp8Marks = {"scaled_fp8", "comfy_quant"};

bool ends_with(std::string_view tensor, const Names& names) {
  const std::string_view part = tensor.substr(tensor.rfind('.') + 1);  // npos + 1 is 0
  return std::find(names.begin(), names.end(), part) != names.end();
}

}  // namespace

bool is_fp8_scale(std::string_view tensor) {
  return ends_with(tensor, kWeightScales) || ends_with(tensor, kInputScales);
}
bool is_fp8_mark(std::string_view tensor) {
  return ends_with(tensor, kFp8Marks);
}

Tensor load_fp8_scale(const Weights& w, int64_t rows) {
  for (const std::string_view view : kInputScales) {
    const std::string name(view);
    if (w.has(name)) w.tensor(name, w.shape(name));
  }
  for (const std::string_view view : kWeightScales) {
    const std::string name(view);
    if (!w.has(name)) continue;
    const Shape shape = w.shape(name);
    const Tensor scale = w.tensor(name, shape);
    if (scale.numel() == 1) return scale.reshape({});
    if (scale.numel() == rows) return scale.reshape({rows, 1});
    throw CheckpointError(str(w.where(), ": tensor '", w.path(), ".", name, "' is ", shape,
                              ", expected one value, or one for each of the ", rows, " rows"));
  }
  return {};
}

}  // namespace icedit
