#pragma once
#include <optional>

#include "base/tensor.h"

namespace icedit {

// softmax(q k^T scale + bias) v. q, k, v [B, H, S, D] -> [B, H, S, D]; scale: 1/sqrt(D) unless
// given; bias broadcasts to [B, H, S, S].
Tensor scaled_dot_product(const Tensor& q, const Tensor& k, const Tensor& v,
                          std::optional<double> scale = std::nullopt, const Tensor& bias = {});

}  // namespace icedit
