#pragma once
// ICEdit's MoE-LoRA: a router picks top_k of the expert LoRAs for each token; their weights are a
// softmax over the picked logits only. Source: ICEdit's paper (arXiv 2504.20690, section on
// MoE-LoRA), formulas as in tests/goldens/make/moe.py.
#include <functional>
#include <memory>
#include <vector>

#include "adapters/lora.h"

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

struct MoeLoraLayer : LinearAdapter {
  std::vector<Tensor> a;  // E times [r, in]
  std::vector<Tensor> b;  // E times [out, r]
  Tensor route;           // [E, in]
  double alpha = 1.0;
  int64_t top_k = 1;
  std::shared_ptr<const AdapterScale> scale;
  // In training the gradients are those of the loss and of this times balance_loss. The value is
  // added nowhere: the term's gradient enters where the layer's output gets its own, so that it is
  // also there when a block is computed again (nn/recompute.h) and its first graph is gone.
  double balance_weight = 0;
  // Called in every forward that is not switched off, where set.
  std::function<void(const MoeRouting&)> on_route;

  int64_t experts() const { return route.size(0); }
  int64_t rank() const { return a.front().size(0); }
  double scaling() const { return lora_scaling(alpha, rank(), false); }
  // Each expert computes only the tokens that were sent to it. Every tensor gets a gradient in
  // training, one of zeros for an expert without tokens (and for the router when top_k is 1: a
  // softmax over one logit is constant).
  Tensor add_to(const Tensor& y, const Tensor& x) const override;
};

}  // namespace icedit
