#include "diffusion/left_reuse.h"

#include <ATen/ATen.h>

namespace icedit {

LeftReuse::LeftReuse(int64_t every, const Tensor& may_change) : every_(every) {
  if (every_ == 1) return;
  const Tensor changes = may_change.any(0);
  if (changes.all().item<bool>() || !changes.any().item<bool>()) {
    every_ = 1;  // nothing to leave out, or nothing else
  } else {
    kept_ = KeptTokens(changes.logical_not());
  }
}

Tensor LeftReuse::velocity(const FluxTransformer& model, const Tensor& x,
                           const Conditioning& conditioning, const Modulations& modulations,
                           const AroundBlock& around) {
  if (every_ == 1) return model.forward(x, conditioning, modulations, around);
  const bool whole = calls_++ % every_ == 0;
  if (whole) {
    kept_.keep(conditioning.prompt_embeds.size(1),
               modulations.double_blocks.size() + modulations.single_blocks.size());
  } else {
    kept_.leave_out();
  }
  const Tensor v = model.forward(x, conditioning, modulations, around, &kept_);
  last_ = whole ? v : last_.index_copy(1, kept_.active(), v);
  return last_;
}

}  // namespace icedit
