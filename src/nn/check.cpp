#include "nn/check.h"

#include "base/error.h"

namespace icedit {
namespace {

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + (shape[i] < 0 ? std::string("*") : std::to_string(shape[i]));
  }
  return text + "]";
}

}  // namespace

void check_shape(const std::string& name, const Tensor& tensor, const Shape& expected) {
  if (!tensor.defined())
    throw UsageError(str(name, ": expected ", shape_text(expected), ", got nothing"));
  bool fits = tensor.dim() == static_cast<int64_t>(expected.size());
  for (size_t i = 0; fits && i < expected.size(); ++i) {
    fits = expected[i] < 0 || expected[i] == tensor.size(static_cast<int64_t>(i));
  }
  if (!fits) {
    throw UsageError(
        str(name, ": expected ", shape_text(expected), ", got ", shape_text(tensor.sizes())));
  }
}

}  // namespace icedit
