#pragma once
// GGML's blocks made of f32: Q8_0 and Q4_0 as gguf-py's quants.py rounds them, byte for byte; Q4_K
// by a search of our own for each group's scale and minimum.
#include "base/tensor.h"
#include "io/dtype.h"

namespace icedit {

// uint8 [out, bytes of a row] of finite rows [out, in]; dtype_block(dtype) divides in. Throws
// CheckpointError for another dtype.
Tensor blocks_of(const Tensor& rows, Dtype dtype);

}  // namespace icedit
