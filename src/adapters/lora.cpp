#include "adapters/lora.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace icedit {

double lora_scaling(double alpha, int64_t rank, bool rslora) {
  return rslora ? alpha / std::sqrt(double(rank)) : alpha / double(rank);
}

Tensor LoraLayer::add_to(const Tensor& y, const Tensor& x) const {
  const double factor = scaling() * scale->effective();
  if (factor == 0.0) return y;
  const auto dtype = at::promote_types(x.scalar_type(), a.scalar_type());
  Tensor delta = at::linear(at::linear(x.to(dtype), a.to(dtype)), b.to(dtype));
  if (factor != 1.0) delta.mul_(factor);
  return delta.add_(y).to(y.scalar_type());  // in place: delta is nobody else's
}

std::optional<double> LoraLayer::fold_factor() const {
  if (a.requires_grad() || b.requires_grad()) return std::nullopt;
  return scaling() * scale->effective();
}

Tensor LoraLayer::fold_delta() const {
  return product(a, b, 1.0);
}

double product_norm(const Tensor& a, const Tensor& b) {
  const at::NoGradGuard no_grad;
  // ||BA||^2 = tr(A^T B^T B A) = sum of (B^T B) * (A A^T)
  const Tensor wide_a = a.to(at::kCPU, at::kDouble), wide_b = b.to(at::kCPU, at::kDouble);
  const Tensor square = (at::mm(wide_b.t(), wide_b) * at::mm(wide_a, wide_a.t())).sum();
  return std::sqrt(std::max(0.0, square.item<double>()));
}

Tensor product(const Tensor& a, const Tensor& b, double scaling) {
  const at::NoGradGuard no_grad;
  return at::mm(b.to(at::kFloat), a.to(at::kFloat)).mul_(scaling);
}

}  // namespace icedit
