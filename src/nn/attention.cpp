#include "nn/attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "nn/bf16_attention.h"
#include "nn/recompute.h"
#include "nn/stopwatch.h"

namespace icedit {
namespace {

// Flash attention on the CPU, ours where it fits and else libtorch's.
Attended flash(const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
  if (fits_bf16_attention(q, k, v)) return bf16_attention(q, k, v, scale);
  const auto [out, log_sum] = at::_scaled_dot_product_flash_attention_for_cpu(
      q, k, v, /*dropout_p=*/0.0, /*is_causal=*/false, /*attn_mask=*/{}, scale);
  return {out, log_sum};
}

AttentionGradients flash_backward(const Tensor& grad_out, const Tensor& q, const Tensor& k,
                                  const Tensor& v, const Attended& forward, double scale) {
  if (fits_bf16_attention(q, k, v))
    return bf16_attention_backward(grad_out, q, k, v, forward, scale);
  const auto [grad_q, grad_k, grad_v] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
      grad_out, q, k, v, forward.out, forward.log_sum, /*dropout_p=*/0.0, /*is_causal=*/false,
      /*attn_mask=*/{}, scale);
  return {grad_q, grad_k, grad_v};
}

// Its result is kept where the block is recomputed: a quarter of a forward's time, and no larger
// than the block's input. Same kernels, same bits.
class KeptAttention : public torch::autograd::Function<KeptAttention> {
 public:
  using Context = torch::autograd::AutogradContext;

  static Tensor forward(Context* context, const Tensor& q, const Tensor& k, const Tensor& v,
                        double scale) {
    const Tensors made = computed_once([&]() -> Tensors {
      const Attended attended = flash(q, k, v, scale);
      return {attended.out, attended.log_sum};
    });
    context->save_for_backward({q, k, v, made[0], made[1]});
    context->saved_data["scale"] = scale;
    return made[0];
  }

  static torch::autograd::variable_list backward(Context* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const AttentionGradients made =
        flash_backward(grads[0], saved[0], saved[1], saved[2], {saved[3], saved[4]},
                       context->saved_data["scale"].toDouble());
    return {made.q, made.k, made.v, Tensor()};
  }
};

bool is_flash_on_cpu(const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
  constexpr int64_t kFlash = 1;  // at::SDPBackend::flash_attention
  return q.is_cpu() && at::_fused_sdp_choice(q, k, v, /*attn_mask=*/{}, /*dropout_p=*/0.0,
                                             /*is_causal=*/false, scale) == kFlash;
}

}  // namespace

Tensor scaled_dot_product(const Tensor& q, const Tensor& k, const Tensor& v,
                          std::optional<double> wanted_scale, const Tensor& bias) {
  // q k^T and the product with v.
  const Timed timed(Work::kAttention, 4.0 * double(q.numel()) * double(k.size(2)));
  const double scale = wanted_scale.value_or(1.0 / std::sqrt(double(q.size(-1))));
  if (!bias.defined()) {
    if (gradients_wanted() && q.sizes() == k.sizes() && is_flash_on_cpu(q, k, v, scale))
      return KeptAttention::apply(q, k, v, scale);
    if (!gradients_wanted() && fits_bf16_attention(q, k, v))
      return bf16_attention(q, k, v, scale).out;
  }
  const auto mask = bias.defined() ? std::optional<Tensor>(bias) : std::nullopt;
  return at::scaled_dot_product_attention(q, k, v, mask, /*dropout_p=*/0.0, /*is_causal=*/false,
                                          scale);
}

}  // namespace icedit
