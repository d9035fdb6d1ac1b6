#include "nn/linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "nn/recompute.h"

namespace icedit {

struct Linear::State {
  std::string path;
  Tensor stored;  // [out, in] as in the file (mapped where it can be)
  Tensor scale;   // fp8 only: a scalar or [out, 1]
  Tensor dense;   // [out, in] of `compute`, adapters folded in; undefined: converted at each use
  Tensor bias;
  int64_t in, out;
  at::ScalarType compute;
  std::function<void()> release;  // gives the file's pages back after `stored` was read
  std::vector<std::shared_ptr<const LinearAdapter>> adapters;
  std::vector<double> folded;  // the factor of each adapter in `dense`; empty: none

  Tensor base() const {
    const Tensor w = stored.to(compute);
    return scale.defined() ? w * scale : w;
  }
  std::vector<double> foldable() const;
  void fold(const std::vector<double>& factors);
};

// The factors to fold in: of all adapters or of none. In half precision a small change would be
// rounded away.
std::vector<double> Linear::State::foldable() const {
  if (compute != at::kFloat || gradients_wanted() || !stored.device().is_cpu()) return {};
  std::vector<double> factors;
  for (const auto& adapter : adapters) {
    const auto factor = adapter->fold_factor();
    if (!factor) return {};
    factors.push_back(*factor);
  }
  return factors;
}

void Linear::State::fold(const std::vector<double>& factors) {
  if (factors == folded) return;
  dense = base();
  for (size_t i = 0; i < factors.size(); ++i) {
    if (factors[i] != 0) dense = at::add(dense, adapters[i]->fold_delta(), factors[i]);
  }
  folded = factors;
  release();
}

namespace {

// The frozen weight is converted in the forward and once more in the backward, so that no converted
// copy is kept.
class ConvertedLinear : public torch::autograd::Function<ConvertedLinear> {
 public:
  using Context = torch::autograd::AutogradContext;

  using MaybeTensor = std::optional<Tensor>;

  static Tensor forward(Context* context, const Tensor& x, const Tensor& weight,
                        const MaybeTensor& scale, const MaybeTensor& bias) {
    context->save_for_backward({weight, scale.value_or(Tensor())});
    return at::linear(x, dense(weight, scale.value_or(Tensor()), x), bias);
  }

  static torch::autograd::variable_list backward(Context* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    return {at::matmul(grads[0], dense(saved[0], saved[1], grads[0])), Tensor(), Tensor(),
            Tensor()};
  }

 private:
  static Tensor dense(const Tensor& weight, const Tensor& scale, const Tensor& like) {
    const Tensor w = weight.to(like.scalar_type());
    return scale.defined() ? w * scale : w;
  }
};

std::optional<Tensor> given(const Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor) : std::nullopt;
}

// ComfyUI's "scaled fp8" files name it scale_weight, others weight_scale; input scales are for fp8
// products, which we do not do.
Tensor load_scale(const Weights& w, int64_t out) {
  for (const char* name : {"scale_input", "input_scale"}) {
    if (w.has(name)) w.tensor(name, w.shape(name));
  }
  for (const char* name : {"scale_weight", "weight_scale"}) {
    if (!w.has(name)) continue;
    const Shape shape = w.shape(name);
    const Tensor scale = w.tensor(name, shape);
    if (scale.numel() == 1) return scale.reshape({});
    if (scale.numel() == out) return scale.reshape({out, 1});
    throw CheckpointError(str(w.where(), ": tensor '", w.path(), ".", name, "' is ", shape,
                              ", expected one value, or one for each of the ", out, " rows"));
  }
  return {};
}

}  // namespace

Linear::Linear(const Weights& w, int64_t in, int64_t out, bool bias)
    : state_(std::make_shared<State>()) {
  State& s = *state_;
  s.path = w.path();
  s.in = in;
  s.out = out;
  s.compute = w.options().compute;
  s.stored = w.stored("weight", {out, in});
  s.release = w.releaser("weight");
  s.scale = load_scale(w, out);
  if (!w.options().keep_stored || s.stored.scalar_type() == s.compute) {
    s.dense = s.base();
    if (!s.dense.is_same(s.stored)) s.release();
    if (!s.stored.device().is_cpu())
      hold(s.dense);  // not twice on a device: nothing is mapped there
  }
  if (bias) s.bias = w.tensor("bias", {out});
  w.file_linear(*this);
}

Tensor Linear::operator()(const Tensor& x) const {
  State& s = *state_;
  if (s.dense.defined()) {
    s.fold(s.foldable());
    const Tensor y = at::linear(x, s.dense, s.bias);
    return s.folded.empty() ? with_adapters(y, x) : y;
  }
  if (x.requires_grad() && at::GradMode::is_enabled()) {
    return with_adapters(ConvertedLinear::apply(x, s.stored, given(s.scale), given(s.bias)), x);
  }
  return with_adapters(at::linear(x, s.base(), s.bias), x);
}

Tensor Linear::with_adapters(Tensor y, const Tensor& x) const {
  for (const auto& adapter : state_->adapters) y = adapter->add_to(y, x);
  return y;
}

const std::string& Linear::path() const {
  return state_->path;
}
int64_t Linear::in() const {
  return state_->in;
}
int64_t Linear::out() const {
  return state_->out;
}
Tensor Linear::weight() const {
  return state_->dense.defined() && state_->folded.empty() ? state_->dense : state_->base();
}
Tensor Linear::bias() const {
  return state_->bias;
}

void Linear::attach(std::shared_ptr<const LinearAdapter> adapter) const {
  unfold();
  state_->adapters.push_back(std::move(adapter));
}

void Linear::detach(const LinearAdapter* adapter) const {
  unfold();
  std::erase_if(state_->adapters, [&](const auto& held) { return held.get() == adapter; });
}

void Linear::unfold() const {
  if (state_->dense.defined()) state_->fold({});
}

void Linear::hold(const Tensor& weight) const {
  state_->stored = state_->dense = weight;
  state_->scale = Tensor();
  state_->folded.clear();
  state_->release = [] {};
}

void Linear::add_to_weight(const Tensor& delta) const {
  hold(weight() + delta.to(state_->compute));
}

std::vector<Tensor> Linear::train_weights() const {
  State& s = *state_;
  hold(weight().clone().requires_grad_(true));
  if (!s.bias.defined()) return {s.dense};
  s.bias = s.bias.clone().requires_grad_(true);
  return {s.dense, s.bias};
}

}  // namespace icedit
