#pragma once
// Flash attention (arXiv 2205.14135, 2307.08691) in bf16 on AMX. As elsewhere products are summed
// in f32, the softmax is f32, and probabilities are rounded to bf16 for the products with v.
#include "base/tensor.h"

namespace icedit::kernels {

// softmax(q k^T scale) v into out, and log(sum(exp(q k^T scale))) into log_sum [B, H, S], f32,
// dense. q and out [B, H, S, D], k and v [B, H, any, D] bf16, D dense and a multiple of 32. Where
// has_amx() (cpu.h) alone.
void amx_attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                   const Tensor& out, const Tensor& log_sum);

// The gradients of q, k and v, by that of `out`; of self attention: as many keys as queries.
void amx_attention_backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v,
                            const Tensor& out, const Tensor& log_sum, double scale,
                            const Tensor& grad_q, const Tensor& grad_k, const Tensor& grad_v);

}  // namespace icedit::kernels
