#pragma once
// What the transformer is given in the goldens, which have diffusers' names. Header only.
#include "golden.h"
#include "models/flux/transformer.h"

namespace icedit::golden {

struct FluxInputs {
  Tensor x;
  Conditioning conditioning;
  Tensor t, guidance;
};

// Under "input." of `tensors`.
inline FluxInputs flux_inputs(const Tensors& tensors, at::ScalarType dtype = at::kFloat) {
  const auto find = [&](const std::string& name) { return get(tensors, "input." + name); };
  const Tensor both = find("hidden_states").to(dtype);
  const auto parts = both.split({64, both.size(2) - 64}, 2);
  FluxInputs in;
  in.x = parts[0];
  in.conditioning = {parts[1], find("encoder_hidden_states").to(dtype),
                     find("pooled_projections").to(dtype), find("img_ids"), find("txt_ids")};
  in.t = find("timestep").to(dtype);
  if (tensors.count("input.guidance") > 0) in.guidance = find("guidance").to(dtype);
  return in;
}

inline Tensor forward(const FluxTransformer& model, const FluxInputs& in,
                      const AroundBlock& around = {}) {
  return model.forward(in.x, in.conditioning, in.t, in.guidance, around);
}

}  // namespace icedit::golden
