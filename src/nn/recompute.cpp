#include "nn/recompute.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <utility>

namespace icedit {
namespace {

using Block = std::function<Tensors(const Tensors&)>;

// What computed_once made in a block's first pass, in the order of the calls.
struct Pass {
  std::vector<Tensors>& made;
  bool first;
  size_t next = 0;
};
thread_local Pass* current_pass = nullptr;

class PassScope {
 public:
  PassScope(std::vector<Tensors>& made, bool first) : pass_{made, first} {}
  ~PassScope() { current_pass = before_; }
  PassScope(const PassScope&) = delete;
  PassScope& operator=(const PassScope&) = delete;

 private:
  Pass pass_;
  Pass* before_ = std::exchange(current_pass, &pass_);
};

struct HeldBlock : torch::CustomClassHolder {
  explicit HeldBlock(Block b) : block(std::move(b)) {}
  Block block;
  std::vector<Tensors> made;
};

class Recomputed : public torch::autograd::Function<Recomputed> {
 public:
  using Context = torch::autograd::AutogradContext;

  static Tensors forward(Context* context, const c10::intrusive_ptr<HeldBlock>& held,
                         at::TensorList inputs) {
    context->save_for_backward(inputs.vec());
    context->saved_data["block"] = c10::IValue::make_capsule(held);
    Tensors detached, outputs;
    for (const Tensor& input : inputs) detached.push_back(input.detach());
    {
      const at::NoGradGuard no_grad;  // nothing is kept
      held->made.clear();
      const PassScope first(held->made, true);
      outputs = held->block(detached);
    }
    for (Tensor& output : outputs) output = output.detach();
    return outputs;
  }

  static Tensors backward(Context* context, Tensors grads) {
    const auto capsule = context->saved_data["block"].toCapsule();
    auto& held = static_cast<HeldBlock&>(*capsule);
    const Tensors inputs = context->get_saved_variables();
    Tensors leaves;
    for (const Tensor& input : inputs)
      leaves.push_back(input.detach().requires_grad_(input.requires_grad()));
    Tensors outputs, wanted, wanted_grads;
    {
      const at::AutoGradMode on(true);
      const PassScope second(held.made, false);
      outputs = held.block(leaves);
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!outputs[i].requires_grad() || !grads[i].defined()) continue;
      wanted.push_back(outputs[i]);
      wanted_grads.push_back(grads[i]);
    }
    if (!wanted.empty()) torch::autograd::backward(wanted, wanted_grads);
    Tensors result = {Tensor()};  // of the block itself
    for (const Tensor& leaf : leaves) result.push_back(leaf.grad());
    return result;
  }
};

}  // namespace

bool gradients_wanted() {
  return at::GradMode::is_enabled() || (current_pass && current_pass->first);
}

Tensors computed_once(const std::function<Tensors()>& make) {
  if (current_pass == nullptr) return make();
  auto& [made, first, next] = *current_pass;
  if (first) return made.emplace_back(make());
  TORCH_CHECK(next < made.size(), "a recomputed block makes other calls the second time");
  return std::move(made[next++]);
}

Tensors recomputed(Block f, const Tensors& inputs) {
  if (!at::GradMode::is_enabled()) return f(inputs);
  // An input that wants a gradient, so that the backward pass comes here even where only leaves
  // inside do.
  Tensors with_anchor = inputs;
  with_anchor.push_back(at::zeros({}, inputs.at(0).options().dtype(at::kFloat)).requires_grad_());
  auto held = c10::make_intrusive<HeldBlock>(std::move(f));
  return Recomputed::apply(held, at::TensorList(with_anchor));
}

Tensors recomputed_block(const BlockCall& call) {
  return recomputed(call.formula, call.in);
}

}  // namespace icedit
