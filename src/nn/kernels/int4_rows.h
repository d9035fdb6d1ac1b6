#pragma once
// Products of matrices that are stored in 4 bits: some rows at a time are made to whole numbers of
// 8 bits, as tiles (int8_product.h), which are multiplied while the caches have them.
#include "nn/kernels/int8_product.h"

namespace icedit::kernels {

// Values of 4 bits in runs of 16 inputs, each with a table of what its codes mean.
struct Int4Weight {
  Tensor codes;   // uint8 [out, in / 2], the even input of two in the low bits
  Tensor tables;  // uint8 [out, in / 16]: which row of `values` a run's codes mean
  Tensor values;  // int8 [256, 16]
  Tensor scales;  // f32 [out]
};

// GGML's Q4_0 as it lies in a file: blocks of 32 inputs, an f16 factor before 16 bytes.
struct Q4Weight {
  Tensor blocks;  // uint8 [out, in / 32 * 18]
  Tensor scales;  // f32 [out]: the largest magnitude of a row, over 127
};
// Their scales.
Tensor q4_scales(const Tensor& blocks);

// Rows [first, first + count) as packed() would have them.
Int8Weight tiles_of(const Int4Weight& weight, int64_t first, int64_t count);
Int8Weight tiles_of(const Q4Weight& weight, int64_t first, int64_t count);

// As of Int8Weight.
void product(const Int8Rows& x, const Int4Weight& w, const Tensor& bias, const Tensor& out,
             const LowRankTerms& terms = {});
void product(const Int8Rows& x, const Q4Weight& w, const Tensor& bias, const Tensor& out,
             const LowRankTerms& terms = {});

}  // namespace icedit::kernels
