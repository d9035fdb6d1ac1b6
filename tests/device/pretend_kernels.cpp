// What libtorch asks of each device by itself.
#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
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
  Aliases aliases;
  aliases.of(to).copy_(aliases.of(from));
  return to;
}

// Which attention is to be used: that of plain products and a softmax.
int64_t sdp_choice(const Tensor&, const Tensor&, const Tensor&, const std::optional<Tensor>&,
                   double, bool, std::optional<double>, bool) {
  return 0;
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
  m.impl("_fused_sdp_choice", sdp_choice);
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
