#pragma once
// The one torch header that our own headers include.
#include <ATen/core/Tensor.h>

namespace icedit {

using at::Tensor;
using Shape = std::vector<int64_t>;

}  // namespace icedit
