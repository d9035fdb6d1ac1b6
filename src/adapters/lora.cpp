#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "adapters/adapter_layer.h"
#include "nn/recompute.h"

namespace icedit {
namespace {

// y + factor B down, summed in down's dtype.
Tensor added(const Tensor& y, const Tensor& down, const Tensor& b, double factor) {
  Tensor delta = at::linear(down, b);
  if (factor != 1.0) delta.mul_(factor);
  return delta.add_(y);  // in place: delta is nobody else's
}

// f32 factors on a bf16 base. x is kept for the backward pass as it came, where the operations one
// by one would keep an f32 copy of it for every Linear that reads it. Rows are widened a few at a
// time, since wide copies of everything cost more than the products: they leave the caches and are
// mapped anew each time.
class WideLora : public torch::autograd::Function<WideLora> {
 public:
  using Context = torch::autograd::AutogradContext;

  static Tensor forward(Context* context, const Tensor& y, const Tensor& x, const Tensor& a,
                        const Tensor& b, double factor) {
    const Tensor rows = by_row(x), y_rows = by_row(y);
    const Tensor down = at::empty({rows.size(0), a.size(0)}, a.options());  // [N, r]
    const Tensor out = at::empty(y_rows.sizes(), y_rows.options());
    for_rows(rows.size(0), a, b, [&](int64_t from, int64_t count) {
      const Tensor part = at::linear(rows.narrow(0, from, count).to(a.scalar_type()), a);
      down.narrow(0, from, count).copy_(part);
      out.narrow(0, from, count).copy_(added(y_rows.narrow(0, from, count), part, b, factor));
    });
    context->save_for_backward({x, a, b, down});
    context->saved_data["factor"] = factor;
    return out.view(y.sizes());
  }

  static torch::autograd::variable_list backward(Context* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &a = saved[1], &b = saved[2], &down = saved[3];
    const double factor = context->saved_data["factor"].toDouble();
    const bool for_x = context->needs_input_grad(1);
    const Tensor rows = by_row(saved[0]), out_rows = by_row(grads[0]);
    const Tensor grad_a = at::zeros_like(a), grad_b = at::zeros_like(b);
    const Tensor grad_x = for_x ? at::empty(rows.sizes(), rows.options()) : Tensor();
    for_rows(rows.size(0), a, b, [&](int64_t from, int64_t count) {
      Tensor grad = out_rows.narrow(0, from, count).to(a.scalar_type());  // [n, out]
      if (factor != 1.0) grad = grad * factor;
      const Tensor grad_down = at::mm(grad, b);  // [n, r]
      grad_b.addmm_(grad.t(), down.narrow(0, from, count));
      grad_a.addmm_(grad_down.t(), rows.narrow(0, from, count).to(a.scalar_type()));
      if (for_x) grad_x.narrow(0, from, count).copy_(at::mm(grad_down, a));
    });
    return {grads[0], for_x ? grad_x.view(saved[0].sizes()) : Tensor(), grad_a, grad_b, Tensor()};
  }

 private:
  static Tensor by_row(const Tensor& t) { return t.reshape({-1, t.size(-1)}); }

  template <class Work>
  static void for_rows(int64_t rows, const Tensor& a, const Tensor& b, const Work& work) {
    constexpr int64_t kAtOnce = int64_t{2} << 20;  // elements
    const int64_t most = std::max<int64_t>(16, kAtOnce / std::max(a.size(1), b.size(0)));
    for (int64_t from = 0; from < rows; from += most) work(from, std::min(most, rows - from));
  }
};

}  // namespace

Tensor AdapterLayer::add_to(const Tensor& y, const Operand& x) const {
  const double factor = scaling() * *scale;
  if (factor == 0.0) return y;
  return has_router() ? add_experts(y, x.tensor(), factor) : add_lora(y, x.tensor(), factor);
}

bool AdapterLayer::is_trained() const {
  const auto trains = [](const Tensor& x) { return x.defined() && x.requires_grad(); };
  return std::any_of(a.begin(), a.end(), trains) || std::any_of(b.begin(), b.end(), trains) ||
         trains(route);
}

bool AdapterLayer::can_be_added() const {
  return *scale != 0.0 && !is_trained() && !on_route;
}

LowRankFactors AdapterLayer::factors() const {
  if (!has_router()) return {a[0], b[0]};
  Tensors down = a;
  down.push_back(route);
  return {at::cat(down), at::cat(b, 1)};
}

// low: of a mixture, of each expert in turn, then the router's logits.
Tensor AdapterLayer::weighed(const Tensor& low) const {
  const double factor = scaling() * *scale;
  if (!has_router()) return factor == 1.0 ? low : low * factor;
  const int64_t columns = experts() * rank();
  const Tensor by_expert = low.narrow(1, 0, columns).unflatten(1, {experts(), rank()});
  const Tensor weights = expert_weights(low.narrow(1, columns, experts())).unsqueeze(-1) * factor;
  // Zeros even where an expert that was not picked has none.
  return at::where(weights == 0, 0.0, by_expert * weights).flatten(1);
}

Tensor AdapterLayer::add_lora(const Tensor& y, const Tensor& x, double factor) const {
  const Tensor &down = a[0], &up = b[0];
  const auto dtype = at::promote_types(x.scalar_type(), down.scalar_type());
  if (gradients_wanted() && x.scalar_type() != dtype && up.scalar_type() == dtype)
    return WideLora::apply(y, x, down, up, factor);
  const Tensor low = at::linear(x.to(dtype), down.to(dtype));
  if (!gradients_wanted() && y.scalar_type() == dtype) {  // onto y: one pass over it less
    y.view({-1, y.size(-1)}).addmm_(low.flatten(0, -2), up.to(dtype).t(), 1, factor);
    return y;
  }
  return added(y, low, up.to(dtype), factor).to(y.scalar_type());
}

std::optional<double> AdapterLayer::fold_factor() const {
  if (is_trained()) return std::nullopt;
  if (*scale == 0.0) return 0.0;  // one that is switched off keeps no other from being folded
  if (has_router()) return std::nullopt;
  return scaling() * *scale;
}

}  // namespace icedit
