#pragma once
// Terms of low rank as products add them. Included by .cpp files alone, on x86-64.
#include <vector>

#include "nn/kernels/amx.h"
#include "nn/kernels/low_rank_term.h"

namespace icedit::kernels {

// A LowRankTerm as its tiles are reached.
struct LowRankTiles {
  const at::BFloat16 *low, *up;
  int64_t tiles;
};

inline std::vector<LowRankTiles> tiles_of(const LowRankTerms& terms) {
  std::vector<LowRankTiles> tiles;
  for (const LowRankTerm& term : terms) {
    tiles.push_back({term.low.tiles.const_data_ptr<at::BFloat16>(),
                     term.up.const_data_ptr<at::BFloat16>(), term.low.columns / kTileHalves});
  }
  return tiles;
}

// Those of 32 rows and 32 outputs from here on, into or onto c (amx.h).
template <class Kernel>
void add_terms(const std::vector<LowRankTiles>& terms, int64_t row, int64_t output, float* c,
               bool onto) {
  for (const LowRankTiles& term : terms) {
    const int64_t stride = term.tiles * kTileValues;  // of 16 rows, or outputs
    Kernel::step(amx::Bf16Step{term.low + row / kTileRows * stride, stride,
                               term.up + output / kTileRows * stride, stride, term.tiles, c, onto});
    onto = true;
  }
}

}  // namespace icedit::kernels
