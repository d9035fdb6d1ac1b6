#pragma once
// Gradient checkpointing: a block's intermediates are dropped after its forward and computed again
// in the backward pass. The formulas and their order stay the same, so do the gradients, bit for
// bit. Source of the idea: Chen et al., arXiv 1604.06174.
#include <functional>
#include <vector>

#include "base/tensor.h"

namespace icedit {

using Tensors = std::vector<Tensor>;

// f(inputs). f must draw nothing random; leaves that it uses beside its inputs (an adapter's
// tensors) get their gradients as well. Where no gradient is wanted at all it is only called.
Tensors recomputed(std::function<Tensors(const Tensors&)> f, const Tensors& inputs);

}  // namespace icedit
