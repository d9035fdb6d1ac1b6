#pragma once
// The seam around a block of a model: whatever happens to a block beside its formula (recomputing
// it, tracing it, ending it for a signal) is a function that is called in its place.
#include <functional>
#include <string>
#include <vector>

#include "base/tensor.h"

namespace icedit {

using Tensors = std::vector<Tensor>;

struct BlockCall {
  std::string path;  // of the block, such as "transformer_blocks.3"
  // The block's formula: a function of its inputs and weights alone, which draws nothing random.
  std::function<Tensors(const Tensors&)> formula;
  Tensors in;  // what flows from block to block first, then what it is modulated with

  Tensors operator()() const { return formula(in); }
};

using AroundBlock = std::function<Tensors(const BlockCall&)>;  // empty: only the block

// A step of minutes ends within it when a signal comes: before each block, in the backward pass
// too.
Tensors interruptible(const BlockCall& call, const AroundBlock& around);

}  // namespace icedit
