#pragma once
// An adapter's module on a Linear: a LoRA, y + s B(A x), or ICEdit's MoE-LoRA, where a router picks
// top_k expert LoRAs for each token and weighs them by a softmax over the picked logits only.
// Source: ICEdit's paper (arXiv 2504.20690, section on MoE-LoRA), formulas as in
// tests/goldens/make/moe.py. The same class serves inference and training (the tensors may require
// gradients).
#include <functional>
#include <memory>
#include <optional>

#include "adapters/adapter_module.h"
#include "nn/linear.h"
#include "nn/low_rank.h"

namespace icedit {

// What the router decided in one call, for statistics, traces and a balance loss. E experts, k =
// top_k.
struct MoeRouting {
  Tensor logits;   // [..., E]
  Tensor indices;  // [..., k] int64, the best first
  Tensor weights;  // [..., E], 0 where an expert was not picked
};

// E sum_e f_e P_e over the tokens: f_e the share of the picks that went to expert e (no gradient),
// P_e the mean of its probability in a softmax over all logits. 1 where all are used alike, E where
// one expert gets everything. logits [..., E], indices [..., k]; a scalar, at least f32. Source:
// Fedus et al., "Switch Transformers", arXiv 2101.03961, equations 4 to 6 (there k is 1); the idea
// is of GShard, arXiv 2006.16668, section 2.2.
Tensor balance_loss(const Tensor& logits, const Tensor& indices);

struct AdapterLayer : AdapterModule, LinearAdapter {
  // Of the whole adapter, whose layers share it, so that it is rescaled or, with 0, switched off
  // without reloading.
  std::shared_ptr<const double> scale;
  // In training the gradients are those of the loss and of this times balance_loss. The value is
  // added nowhere: the term's gradient enters where the layer's output gets its own, so that it is
  // also there when a block is computed again (nn/recompute.h) and its first graph is gone.
  double balance_weight = 0;
  // Called in every forward of a router that is not switched off, where set.
  std::function<void(const MoeRouting&)> on_route;

  // In peft's order: x cast to the factors' dtype (or to a wider one that x has), the product
  // scaled, then added, the sum cast back to y's dtype. A scale of 0 costs nothing.
  Tensor add_to(const Tensor& y, const Operand& x) const override;
  // Of one that is not trained; the factors must not change behind the first use. The product has x
  // as its matrix reads it, in bf16 or 8 bits, and rounds x a^T to bf16. Of a mixture the experts
  // lie side by side, and a token has zeros for those that it was not sent to.
  const LowRankChange* low_rank() const override { return can_be_added() ? &change_ : nullptr; }
  // Of a plain LoRA that is not trained.
  std::optional<double> fold_factor() const override;
  Tensor fold_delta() const override { return delta(1.0); }

 private:
  Tensor add_lora(const Tensor& y, const Tensor& x, double factor) const;     // lora.cpp
  Tensor add_experts(const Tensor& y, const Tensor& x, double factor) const;  // moe_lora.cpp
  bool is_trained() const;
  bool can_be_added() const;
  LowRankFactors factors() const;
  Tensor weighed(const Tensor& low) const;
  Tensor expert_weights(const Tensor& logits) const;  // moe_lora.cpp

  LowRankChange change_{[this] { return factors(); },
                        [this](const Tensor& low) { return weighed(low); }};
};

}  // namespace icedit
