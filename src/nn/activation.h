#pragma once
// Activations by the names that transformers' configs use.
#include <string>

#include "base/tensor.h"

namespace icedit {

using Activation = Tensor (*)(const Tensor& x);

// relu, gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, silu, swish. Throws CheckpointError naming
// `where` (file and key).
Activation activation_named(const std::string& name, const std::string& where);

}  // namespace icedit
