#pragma once
// The diptych's left half hardly changes what the right half sees from one call of the network to
// the next: calls that leave it out, and attend to its keys and values of the last that did not.
#include <cstdint>

#include "models/flux/transformer.h"

namespace icedit {

class LeftReuse {
 public:
  // Every `every`-th call has all tokens, the first among them; 1: each. may_change [B, I] bool:
  // the tokens that no call leaves out, if any picture of the batch may change there.
  LeftReuse(int64_t every, const Tensor& may_change);

  // The velocity [B, I, 64] of x, as FluxTransformer::forward; of tokens that are left out, what it
  // was when they last were not.
  Tensor velocity(const FluxTransformer& model, const Tensor& x, const Conditioning& conditioning,
                  const Modulations& modulations, const AroundBlock& around);

 private:
  int64_t every_, calls_ = 0;
  KeptTokens kept_;
  Tensor last_;  // [B, I, 64]
};

}  // namespace icedit
