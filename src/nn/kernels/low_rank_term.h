#pragma once
// What a change of low rank adds to a product [rows, out] in the same pass: low up^T, of bf16,
// summed in f32.
#include <vector>

#include "nn/kernels/kernels.h"
#include "nn/kernels/tiles.h"

namespace icedit::kernels {

struct LowRankTerm {
  Bf16Rows low;  // [rows, rank], rank a multiple of 32
  Tensor up;     // [out, rank], as right_tiles (bf16_product.h) gives it
  Tensor used;  // uint8 [rows / 32, rank / 32]: 0 where all of `low` is 0, so that nothing is to be
                // added, whatever `up` is; undefined: 1 everywhere
};
using LowRankTerms = std::vector<LowRankTerm>;

// What `used` is for them.
Tensor used_tiles(const Bf16Rows& low);

// Of the outputs from `first` on, a multiple of 16.
inline LowRankTerms from_output(LowRankTerms terms, int64_t first) {
  for (LowRankTerm& term : terms) {
    const int64_t skipped = first * term.low.columns;
    term.up = term.up.narrow(0, skipped, term.up.size(0) - skipped);
  }
  return terms;
}

}  // namespace icedit::kernels
