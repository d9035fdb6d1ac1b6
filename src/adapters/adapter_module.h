#pragma once
// What an adapter has for one of the model's modules: the low-rank factors of one expert (a LoRA),
// or those of several and a router (ICEdit's MoE-LoRA, arXiv 2504.20690).
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "adapters/adapter_keys.h"
#include "base/tensor.h"

namespace icedit {

struct AdapterModule {
  std::string module = {};     // "transformer_blocks.0.attn.to_q"
  std::vector<Tensor> a = {};  // of each expert: [r, in]
  std::vector<Tensor> b = {};  // [out, r]
  Tensor route = {};           // [experts, in]; undefined: one expert, for every token
  double alpha = 1;
  bool rslora = false;
  int64_t top_k = 1;  // experts that a token is sent to
  // Their names in the file, for errors: a and b of each expert in turn, then what else there is.
  std::vector<std::string> tensors = {};

  bool has_router() const { return route.defined(); }
  int64_t experts() const { return int64_t(a.size()); }
  int64_t rank() const { return a.at(0).size(0); }
  int64_t in() const { return a.at(0).size(1); }
  int64_t out() const { return b.at(0).size(0); }
  // alpha / r, or alpha / sqrt(r) for a rank-stabilised LoRA. Source: peft tuners/lora/layer.py.
  double scaling() const;
  // factor B A [out, in] in f32, of a module without a router.
  Tensor delta(double factor) const;
  // || s B A ||_F at scale 1; over experts their root mean square.
  double delta_norm() const;
};

// Every factor and router under its name in `layout`. They are no copies.
std::vector<std::pair<std::string, Tensor>> tensors_of(
    const std::vector<AdapterModule>& modules, AdapterLayout layout = AdapterLayout::kDiffusers);
// Puts f(its name in diffusers' layout, the tensor) in the place of each of them.
void replace_tensors(AdapterModule& module,
                     const std::function<Tensor(const std::string&, const Tensor&)>& f);

// || B A ||_F in f64 from the two r x r Gram matrices: the [out, in] product is never made.
double product_norm(const Tensor& a, const Tensor& b);

}  // namespace icedit
