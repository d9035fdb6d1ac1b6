#pragma once
// The seam around a block of a model: whatever happens to a block beside its formula (recomputing
// it, tracing it, ending the work) is a function that is called in its place.
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

// Asked again and again by long work: throws to end it. throw_if_interrupted (base/interrupt.h) is
// one; a server has one for each job.
using StopCheck = std::function<void()>;

// `around`, but a step of minutes ends within it: `stop` is asked before each block, in the
// backward pass too. Without `stop` it is `around` alone.
AroundBlock stopping(StopCheck stop, AroundBlock around = {});

}  // namespace icedit
