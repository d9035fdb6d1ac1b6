#include "nn/linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "base/error.h"

namespace icedit {

struct Linear::State {
  std::string path;
  Tensor weight;  // [out, in]; of `compute`, or as stored
  Tensor scale;   // fp8 only: a scalar or [out, 1]
  Tensor bias;
  int64_t in, out;
  at::ScalarType compute;
  std::vector<std::shared_ptr<const LinearAdapter>> adapters;

  bool dense() const { return weight.scalar_type() == compute && !scale.defined(); }
  Tensor dense_weight() const {
    const Tensor w = weight.to(compute);
    return scale.defined() ? w * scale : w;
  }
};

namespace {

// The frozen weight is converted in the forward and once more in the backward, so that no converted
// copy is kept.
class ConvertedLinear : public torch::autograd::Function<ConvertedLinear> {
 public:
  using Context = torch::autograd::AutogradContext;

  static Tensor forward(Context* context, const Tensor& x, const Tensor& weight,
                        const Tensor& scale, const Tensor& bias) {
    context->save_for_backward({weight, scale});
    return at::linear(x, dense(weight, scale, x), bias);
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

bool is_fp8(const Tensor& tensor) {
  return tensor.element_size() == 1;
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
  const bool half = w.dtype("weight") != Dtype::kF32;
  s.weight = w.options().keep_stored && half ? w.stored("weight", {out, in})
                                             : w.tensor("weight", {out, in});
  s.scale = load_scale(w, out);
  if (s.scale.defined() && !is_fp8(s.weight)) {
    s.weight = s.weight * s.scale;
    s.scale = Tensor();
  }
  if (bias) s.bias = w.tensor("bias", {out});
  w.file_linear(*this);
}

Tensor Linear::operator()(const Tensor& x) const {
  const State& s = *state_;
  Tensor y;
  if (s.dense()) {
    y = at::linear(x, s.weight, s.bias);
  } else if (x.requires_grad() && at::GradMode::is_enabled()) {
    y = ConvertedLinear::apply(x, s.weight, s.scale, s.bias);
  } else {
    y = at::linear(x, s.dense_weight(), s.bias);
  }
  for (const auto& adapter : s.adapters) y = adapter->add_to(y, x);
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
  return state_->dense() ? state_->weight : state_->dense_weight();
}
Tensor Linear::bias() const {
  return state_->bias;
}

void Linear::attach(std::shared_ptr<const LinearAdapter> adapter) const {
  state_->adapters.push_back(std::move(adapter));
}

void Linear::detach(const LinearAdapter* adapter) const {
  std::erase_if(state_->adapters, [&](const auto& held) { return held.get() == adapter; });
}

void Linear::add_to_weight(const Tensor& delta) const {
  // A copy: the weight may look at a file that is mapped for reading.
  state_->weight = weight() + delta.to(state_->compute);
  state_->scale = Tensor();
}

std::vector<Tensor> Linear::train_weights() const {
  State& s = *state_;
  s.weight = weight().clone().requires_grad_(true);
  s.scale = Tensor();
  if (!s.bias.defined()) return {s.weight};
  s.bias = s.bias.clone().requires_grad_(true);
  return {s.weight, s.bias};
}

}  // namespace icedit
