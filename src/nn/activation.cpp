#include "nn/activation.h"

#include <ATen/ATen.h>

#include "base/error.h"

namespace icedit {
namespace {

Tensor relu(const Tensor& x) {
  return at::relu(x);
}
Tensor gelu(const Tensor& x) {
  return at::gelu(x);
}
Tensor gelu_tanh(const Tensor& x) {
  return at::gelu(x, "tanh");
}
Tensor quick_gelu(const Tensor& x) {
  return x * at::sigmoid(1.702 * x);
}
Tensor silu(const Tensor& x) {
  return at::silu(x);
}

}  // namespace

Activation activation_named(const std::string& name, const std::string& where) {
  if (name == "relu") return relu;
  if (name == "gelu") return gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return gelu_tanh;
  if (name == "quick_gelu") return quick_gelu;
  if (name == "silu" || name == "swish") return silu;
  throw CheckpointError(
      str(where, " is '", name,
          "', expected one of relu, gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, silu, swish"));
}

}  // namespace icedit
