#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "adapters/adapter_layer.h"
#include "nn/recompute.h"

namespace icedit {
namespace {

// y as it is; its backward pass also sends `weight` into the scalar `term`.
class WithGradientOf : public torch::autograd::Function<WithGradientOf> {
 public:
  using Context = torch::autograd::AutogradContext;

  static Tensor forward(Context* context, const Tensor& y, const Tensor& term, double weight) {
    context->save_for_backward({term});
    context->saved_data["weight"] = weight;
    return y.view_as(y);
  }

  static torch::autograd::variable_list backward(Context* context,
                                                 torch::autograd::variable_list grads) {
    const Tensor term = context->get_saved_variables()[0];
    return {grads[0], at::full_like(term, context->saved_data["weight"].toDouble()), Tensor()};
  }
};

// N tokens  E experts  k picked
struct Picks {
  Tensor indices, weights;  // [N, k] each

  Tensor by_expert(int64_t experts) const {  // [N, E]: zeros for those that were not picked
    return at::zeros({indices.size(0), experts}, weights.options()).scatter(-1, indices, weights);
  }
};

Picks pick(const Tensor& logits, int64_t count, at::ScalarType wide) {
  const auto [top, indices] = at::topk(logits, count, -1);
  return {indices, at::softmax(top, -1, wide)};
}

}  // namespace

Tensor balance_loss(const Tensor& logits, const Tensor& indices) {
  const int64_t experts = logits.size(-1);
  const auto wide = at::promote_types(at::kFloat, logits.scalar_type());
  const Tensor picks = indices.reshape({-1});
  const Tensor share = at::bincount(picks, {}, experts).to(wide) / double(picks.numel());
  const Tensor probability = at::softmax(logits.reshape({-1, experts}), -1, wide).mean(0);
  return (share * probability).sum() * double(experts);
}

Tensor AdapterLayer::expert_weights(const Tensor& logits) const {
  return pick(logits, top_k, logits.scalar_type()).by_expert(experts());
}

Tensor AdapterLayer::add_experts(const Tensor& y, const Tensor& x, double factor) const {
  const auto dtype = at::promote_types(x.scalar_type(), route.scalar_type());
  const Tensor tokens = x.reshape({-1, x.size(-1)}).to(dtype);  // [N, in]
  const Tensor logits = at::linear(tokens, route.to(dtype));    // [N, E]
  Picks picks = pick(logits, top_k, at::promote_types(at::kFloat, x.scalar_type()));
  picks.weights = picks.weights.to(y.scalar_type());
  const Tensor &indices = picks.indices, &picked = picks.weights;
  if (on_route) {
    Shape shape = x.sizes().vec();
    shape.back() = experts();
    const Tensor out_weights = picks.by_expert(experts()).reshape(shape),
                 out_logits = logits.reshape(shape);
    shape.back() = top_k;
    on_route({out_logits, indices.reshape(shape), out_weights});
  }
  const bool training = gradients_wanted();
  Tensor out = y.reshape({-1, y.size(-1)}).to(dtype);  // [N, out]
  bool ours = false;                                   // whether `out` may be written to
  for (int64_t e = 0; e < experts(); ++e) {
    const Tensor places = (indices == e).nonzero();  // [n, 2]: token, rank among its picks
    if (places.size(0) == 0 && !training) continue;
    const Tensor rows = places.select(1, 0);
    Tensor delta = at::linear(at::linear(tokens.index_select(0, rows), a[e].to(dtype)),
                              b[e].to(dtype));  // [n, out]
    if (factor != 1.0) delta.mul_(factor);
    // The weight of an only pick is 1.
    if (top_k > 1 || training)
      delta = delta * picked.index({rows, places.select(1, 1)}).unsqueeze(-1);
    delta = delta.to(dtype);
    out = ours ? out.index_add_(0, rows, delta) : out.index_add(0, rows, delta);
    ours = true;
  }
  out = out.to(y.scalar_type()).reshape(y.sizes());
  if (balance_weight == 0 || !training) return out;
  return WithGradientOf::apply(out, balance_loss(logits, indices), balance_weight);
}

}  // namespace icedit
