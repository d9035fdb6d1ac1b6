#include "nn/attention.h"

#include <ATen/ATen.h>

namespace icedit {

Tensor scaled_dot_product(const Tensor& q, const Tensor& k, const Tensor& v,
                          std::optional<double> scale, const Tensor& bias) {
  const auto mask = bias.defined() ? std::optional<Tensor>(bias) : std::nullopt;
  return at::scaled_dot_product_attention(q, k, v, mask, /*dropout_p=*/0.0, /*is_causal=*/false,
                                          scale);
}

}  // namespace icedit
