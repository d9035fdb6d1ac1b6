#include "nn/block.h"

#include <ATen/ATen.h>

namespace icedit {

AroundBlock stopping(StopCheck stop, AroundBlock around) {
  if (!stop) return around;
  return [stop, around](const BlockCall& call) {
    stop();
    const Tensors out = around ? around(call) : call();
    if (out.back().requires_grad()) out.back().register_hook([stop](const Tensor&) { stop(); });
    return out;
  };
}

}  // namespace icedit
