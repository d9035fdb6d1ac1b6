// What libtorch asks of each device by itself.
#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/SDPBackend.h>
#include <ATen/native/transformers/attention.h>
#include <torch/library.h>

#include "device/pretend_fallback.h"

namespace icedit::pretend {
namespace {

constexpr c10::DispatchKeySet kKey(c10::DispatchKey::PrivateUse1);

Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
             std::optional<at::Device>, std::optional<bool>,
             std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, c10::GetAllocator(device().type()), kKey,
                                   c10::dtype_or_default(dtype), format);
}

Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride,
                     std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                     std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, c10::GetAllocator(device().type()), kKey,
                                           c10::dtype_or_default(dtype));
}

// A copy that does not block would need an order of copies and kernels, which is not pretended.
Tensor copy_from(const Tensor& from, const Tensor& to, bool non_blocking) {
  TORCH_CHECK(!non_blocking, "the pretend device has no copies that do not block");
  if (from.is_cpu()) Memory::all().copies(int64_t(to.nbytes()));
  Aliases aliases;
  aliases.of(to).copy_(aliases.of(from));
  return to;
}

// Flash attention, which holds no scores, where no gradient is wanted; else plain products.
int64_t sdp_choice(const Tensor& q, const Tensor&, const Tensor&, const std::optional<Tensor>&,
                   double, bool, std::optional<double>, bool) {
  return int64_t(q.requires_grad() && at::GradMode::is_enabled() ? at::SDPBackend::math
                                                                 : at::SDPBackend::overrideable);
}

using Attended =
    std::tuple<Tensor, Tensor, Tensor, Tensor, c10::SymInt, c10::SymInt, Tensor, Tensor, Tensor>;

Attended flash(const Tensor& q, const Tensor& k, const Tensor& v, const std::optional<Tensor>& bias,
               double dropout, bool causal, bool, std::optional<double> scale) {
  Aliases aliases;
  const auto own = bias ? std::optional(aliases.of(*bias)) : bias;
  const auto [out, log_sum] = at::_scaled_dot_product_flash_attention_for_cpu(
      aliases.of(q), aliases.of(k), aliases.of(v), dropout, causal, own, scale);
  return {aliases.back(out), aliases.back(log_sum), {}, {}, q.size(2), k.size(2), {}, {}, {}};
}

Tensor convolution(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias,
                   at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation,
                   bool transposed, at::IntArrayRef output_padding, int64_t groups) {
  Aliases aliases;
  const auto own = bias ? std::optional(aliases.of(*bias)) : bias;
  return aliases.back(at::convolution(aliases.of(x), aliases.of(weight), own, stride, padding,
                                      dilation, transposed, output_padding, groups));
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("_copy_from", copy_from);
  m.impl("_scaled_dot_product_fused_attention_overrideable", flash);
  m.impl("convolution_overrideable", convolution);
  // For devices without a kernel of the name the norms are made of others, which take no channels
  // last, and the loss is written to a scalar that is resized.
  for (const char* name : {"native_group_norm", "native_layer_norm", "mse_loss"})
    m.impl(name, torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

// The copy itself sees to values that are only marked as conjugated or negated.
TORCH_LIBRARY_IMPL(aten, Conjugate, m) {
  m.impl("_copy_from", torch::CppFunction::makeFallthrough());
}
TORCH_LIBRARY_IMPL(aten, Negative, m) {
  m.impl("_copy_from", torch::CppFunction::makeFallthrough());
}

}  // namespace
}  // namespace icedit::pretend

namespace at::native {
REGISTER_PRIVATEUSE1_DISPATCH(_fused_sdp_choice_stub, &icedit::pretend::sdp_choice)
}
