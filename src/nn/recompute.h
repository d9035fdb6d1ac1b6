#pragma once
// Gradient checkpointing: a block's intermediates are dropped after its forward and computed again
// in the backward pass. The formulas and their order stay the same, so do the gradients, bit for
// bit. Source of the idea: Chen et al., arXiv 1604.06174.
#include <functional>

#include "nn/block.h"

namespace icedit {

// f(inputs). f must draw nothing random; leaves that it uses beside its inputs (an adapter's
// tensors) get their gradients as well. Where no gradient is wanted at all it is only called.
Tensors recomputed(std::function<Tensors(const Tensors&)> f, const Tensors& inputs);
Tensors recomputed_block(const BlockCall& call);  // the same, around a block

// Whether a backward pass will come: grad mode is on, or it is off because the block is computed
// again later. Layers that do it another way without a backward pass ask this, so that both times
// give the same bits.
bool gradients_wanted();

// make(), but once in a recomputed block: the second pass gets the tensors of the first, which are
// held until then. For what costs much time for its size. Every pass makes the same calls.
Tensors computed_once(const std::function<Tensors()>& make);

}  // namespace icedit
