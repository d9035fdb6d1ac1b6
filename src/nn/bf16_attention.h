#pragma once
// Flash attention (arXiv 2205.14135, 2307.08691) in bf16: with AMX by tiles of our own
// (nn/kernels/amx_attention.h), forward twice, backward three times as fast as libtorch's; and with
// AVX-512 BF16 alone, where libtorch leaves the products to a BLAS that does them in f32, by
// oneDNN's products of blocks. Products accumulate in f32, the softmax is f32, probabilities are
// rounded to bf16 for the products with v, as in libtorch.
#include <utility>

#include "base/tensor.h"

namespace icedit {

// Whether bf16_attention takes these: bf16 on such a CPU, q [B, H, S, D], k and v [B, H, any, D], D
// a multiple of 32, and an even number of keys without AMX.
bool fits_bf16_attention(const Tensor& q, const Tensor& k, const Tensor& v);

struct Attended {
  Tensor out;      // [B, H, S, D], bf16, laid out as [B, S, H, D]
  Tensor log_sum;  // [B, H, S], f32: log of the sum of exp(scale q k^T)
};

// softmax(q k^T scale) v.
Attended bf16_attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale);

struct AttentionGradients {
  Tensor q, k, v;  // [B, H, S, D], bf16, laid out as [B, S, H, D]
};

// Where it fits, of self attention: as many keys as queries.
AttentionGradients bf16_attention_backward(const Tensor& grad_out, const Tensor& q, const Tensor& k,
                                           const Tensor& v, const Attended& forward, double scale);

}  // namespace icedit
