#include "nn/block.h"

#include <ATen/ATen.h>

#include "base/interrupt.h"

namespace icedit {

Tensors interruptible(const BlockCall& call, const AroundBlock& around) {
  throw_if_interrupted();
  const Tensors out = around ? around(call) : call();
  if (out.back().requires_grad())
    out.back().register_hook([](const Tensor&) { throw_if_interrupted(); });
  return out;
}

}  // namespace icedit
