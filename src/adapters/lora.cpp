#include "adapters/lora.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

namespace icedit {

double lora_scaling(double alpha, int64_t rank, bool rslora) {
  return rslora ? alpha / std::sqrt(double(rank)) : alpha / double(rank);
}

namespace {

// y + factor B down, summed in down's dtype.
Tensor added(const Tensor& y, const Tensor& down, const Tensor& b, double factor) {
  Tensor delta = at::linear(down, b);
  if (factor != 1.0) delta.mul_(factor);
  return delta.add_(y).to(y.scalar_type());  // in place: delta is nobody else's
}

// f32 factors on a bf16 base. x is kept for the backward pass as it came, where the operations one
// by one would keep an f32 copy of it for every Linear that reads it: the most of a step's memory.
class WideLora : public torch::autograd::Function<WideLora> {
 public:
  using Context = torch::autograd::AutogradContext;

  static Tensor forward(Context* context, const Tensor& y, const Tensor& x, const Tensor& a,
                        const Tensor& b, double factor) {
    const Tensor down = at::linear(x.to(a.scalar_type()), a);  // [..., r]
    context->save_for_backward({x, a, b, down});
    context->saved_data["factor"] = factor;
    return added(y, down, b, factor);
  }

  static torch::autograd::variable_list backward(Context* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &a = saved[1], &b = saved[2];
    const double factor = context->saved_data["factor"].toDouble();
    const auto rows = [](const Tensor& t) { return t.reshape({-1, t.size(-1)}); };
    Tensor grad = rows(grads[0]).to(a.scalar_type());  // [N, out]
    if (factor != 1.0) grad = grad * factor;
    const Tensor grad_down = at::mm(grad, b);  // [N, r]
    Tensor grad_x, grad_a, grad_b;
    if (context->needs_input_grad(3)) grad_b = at::mm(grad.t(), rows(saved[3]));
    if (context->needs_input_grad(1))
      grad_x = at::mm(grad_down, a).to(x.scalar_type()).reshape(x.sizes());
    if (context->needs_input_grad(2)) grad_a = at::mm(grad_down.t(), rows(x).to(a.scalar_type()));
    return {grads[0], grad_x, grad_a, grad_b, Tensor()};
  }
};

}  // namespace

Tensor LoraLayer::add_to(const Tensor& y, const Tensor& x) const {
  const double factor = scaling() * scale->effective();
  if (factor == 0.0) return y;
  const auto dtype = at::promote_types(x.scalar_type(), a.scalar_type());
  if (at::GradMode::is_enabled() && x.scalar_type() != dtype && b.scalar_type() == dtype)
    return WideLora::apply(y, x, a, b, factor);
  return added(y, at::linear(x.to(dtype), a.to(dtype)), b.to(dtype), factor);
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
