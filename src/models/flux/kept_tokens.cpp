#include "models/flux/kept_tokens.h"

#include <ATen/ATen.h>

namespace icedit {

KeptTokens::KeptTokens(const Tensor& left_out)
    : active_(left_out.logical_not().nonzero().flatten()), rest_(left_out.nonzero().flatten()) {}

void KeptTokens::keep(int64_t text_tokens, size_t blocks) {
  blocks_.resize(blocks);
  for (KeptKeys& block : blocks_) block = KeptKeys{rest_ + text_tokens, Tensor(), Tensor()};
  leaves_out_ = false;
}

void KeptTokens::leave_out() {
  for (KeptKeys& block : blocks_) block.rows = Tensor();
  leaves_out_ = true;
}

}  // namespace icedit
