#include "nn/recompute.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

namespace icedit {
namespace {

using Block = std::function<Tensors(const Tensors&)>;

struct HeldBlock : torch::CustomClassHolder {
  explicit HeldBlock(Block b) : block(std::move(b)) {}
  Block block;
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
      // With gradients on, since layers take other ways without them; the graph goes at once.
      const at::AutoGradMode on(true);
      outputs = held->block(detached);
    }
    for (Tensor& output : outputs) output = output.detach();
    return outputs;
  }

  static Tensors backward(Context* context, Tensors grads) {
    const auto capsule = context->saved_data["block"].toCapsule();
    const auto& block = static_cast<const HeldBlock&>(*capsule).block;
    const Tensors inputs = context->get_saved_variables();
    Tensors leaves;
    for (const Tensor& input : inputs)
      leaves.push_back(input.detach().requires_grad_(input.requires_grad()));
    Tensors outputs, wanted, wanted_grads;
    {
      const at::AutoGradMode on(true);
      outputs = block(leaves);
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

Tensors recomputed(Block f, const Tensors& inputs) {
  if (!at::GradMode::is_enabled()) return f(inputs);
  // An input that wants a gradient, so that the backward pass comes here even where only leaves
  // inside do.
  Tensors with_anchor = inputs;
  with_anchor.push_back(at::zeros({}, inputs.at(0).options().dtype(at::kFloat)).requires_grad_());
  auto held = c10::make_intrusive<HeldBlock>(std::move(f));
  return Recomputed::apply(held, at::TensorList(with_anchor));
}

}  // namespace icedit
