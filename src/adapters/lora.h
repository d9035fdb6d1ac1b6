#pragma once
// LoRA: y + s B(A x). The same class serves inference and training (a and b may require gradients).
#include <memory>

#include "base/tensor.h"
#include "nn/linear.h"

namespace icedit {

// One for a whole adapter: its layers hold it, so that it is rescaled or switched off without
// reloading.
struct AdapterScale {
  double value = 1.0;
  bool enabled = true;
  double effective() const { return enabled ? value : 0.0; }
};

// alpha / r, or alpha / sqrt(r) for a rank-stabilised LoRA. Source: peft tuners/lora/layer.py,
// update_layer.
double lora_scaling(double alpha, int64_t rank, bool rslora);

struct LoraLayer : LinearAdapter {
  Tensor a;  // [r, in]
  Tensor b;  // [out, r]
  double alpha = 1.0;
  bool rslora = false;
  std::shared_ptr<const AdapterScale> scale;

  int64_t rank() const { return a.size(0); }
  double scaling() const { return lora_scaling(alpha, rank(), rslora); }
  // In peft's order: x cast to a's dtype (or to a wider one that x has), the product scaled, then
  // added, the sum cast back to y's dtype. A scale of 0 costs nothing.
  Tensor add_to(const Tensor& y, const Tensor& x) const override;
  std::optional<double> fold_factor() const override;
  Tensor fold_delta() const override;
};

// || B A ||_F in f64 from the two r x r Gram matrices: the [out, in] product is never made.
double product_norm(const Tensor& a, const Tensor& b);

// s B A [out, in] in f32: what merging adds.
Tensor product(const Tensor& a, const Tensor& b, double scaling);

}  // namespace icedit
