#pragma once
// GGML's block types, as GGUF files hold them: a block has a scale or several, and whole numbers of
// 2 to 8 bits. Source: ggml's ggml-common.h (layouts) and gguf-py's quants.py (what they mean).
#include "nn/matrix.h"

namespace icedit {

// The values of whole blocks, to[0] ... to[values - 1]; dtype_block(dtype) is 32 or 256.
void dequantise(Dtype dtype, const std::byte* blocks, int64_t values, float* to);

// A tensor of blocks as f32: a copy, on all threads.
Tensor dequantised(const Checkpoint::Entry& entry);

// [out, in], mapped from the file and dequantised some rows at a time into each product; of Q4_0,
// if `in_8_bits`, rounded to 8 bits in place of that (nn/int8_matrix.h), without a rotation.
MatrixPtr ggml_matrix(const Checkpoint::Entry& entry, bool in_8_bits = false);

}  // namespace icedit
