#pragma once
// Terms of low rank as products add them. Included by .cpp files alone, on x86-64.
#include <algorithm>
#include <vector>

#include "nn/kernels/amx.h"
#include "nn/kernels/low_rank_term.h"

namespace icedit::kernels {

// A LowRankTerm as its tiles are reached.
struct LowRankTiles {
  const at::BFloat16 *low, *up;
  const uint8_t* used;  // nullptr: all
  int64_t tiles;

  bool uses(int64_t row, int64_t tile) const {
    return used == nullptr || used[row / kBlock * tiles + tile] != 0;
  }
};

inline std::vector<LowRankTiles> tiles_of(const LowRankTerms& terms) {
  std::vector<LowRankTiles> tiles;
  for (const LowRankTerm& term : terms) {
    tiles.push_back({term.low.tiles.const_data_ptr<at::BFloat16>(),
                     term.up.const_data_ptr<at::BFloat16>(),
                     term.used.defined() ? term.used.const_data_ptr<uint8_t>() : nullptr,
                     term.low.columns / kTileHalves});
  }
  return tiles;
}

// Those of 32 rows and 32 outputs from here on, into or onto c (amx.h).
template <class Kernel>
void add_terms(const std::vector<LowRankTiles>& terms, int64_t row, int64_t output, float* c,
               bool onto) {
  for (const LowRankTiles& term : terms) {
    const int64_t stride = term.tiles * kTileValues;  // of 16 rows, or outputs
    for (int64_t tile = 0, end = 0; tile < term.tiles; tile = end + 1) {
      for (end = tile; end < term.tiles && term.uses(row, end);) ++end;
      if (end == tile) continue;
      Kernel::step(amx::Bf16Step{term.low + row / kTileRows * stride + tile * kTileValues, stride,
                                 term.up + output / kTileRows * stride + tile * kTileValues, stride,
                                 end - tile, c, onto});
      onto = true;
    }
  }
  if (!onto && !terms.empty()) std::fill_n(c, kBlockSums, 0.0F);
}

}  // namespace icedit::kernels
