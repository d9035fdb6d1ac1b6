#pragma once
#include <optional>

#include "base/tensor.h"

namespace icedit {

// softmax(q k^T scale + bias) v. q [B, H, S, D], k, v [B, H, K, D] -> [B, H, S, D]; scale:
// 1/sqrt(D) unless given; bias broadcasts to [B, H, S, K].
Tensor scaled_dot_product(const Tensor& q, const Tensor& k, const Tensor& v,
                          std::optional<double> scale = std::nullopt, const Tensor& bias = {});

}  // namespace icedit
