#pragma once
// How rows become tiles of an Int8Weight, whatever they are stored as. A `Runs` has rows of kBlock
// inputs at a time, a multiple of 16: take(row, i, to) gives those from its i-th run of 16 on.
// Included by .cpp files alone.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>

#include "nn/kernels/int8_product.h"
#include "nn/kernels/tiles.h"

namespace icedit::kernels {

constexpr int64_t kRun = 16;
using Sixteen = int8_t __attribute__((vector_size(16)));
using Pairs = int16_t __attribute__((vector_size(16)));
using Fours = int32_t __attribute__((vector_size(16)));

// Four rows' runs turned so that four inputs of a row lie together; adds up each row's values.
[[gnu::always_inline]] inline void write_lines(const Sixteen* runs, int64_t stride, int8_t* to,
                                               Pairs& sums) {
  Fours v[4];
#pragma GCC unroll 4
  for (int64_t j = 0; j < 4; ++j) v[j] = reinterpret_cast<Fours>(runs[j * stride]);
  const Fours low = {0, 4, 1, 5}, high = {2, 6, 3, 7}, even = {0, 1, 4, 5}, odd = {2, 3, 6, 7};
  const Fours a = __builtin_shuffle(v[0], v[1], low), b = __builtin_shuffle(v[2], v[3], low);
  const Fours c = __builtin_shuffle(v[0], v[1], high), d = __builtin_shuffle(v[2], v[3], high);
  const Fours lines[] = {__builtin_shuffle(a, b, even), __builtin_shuffle(a, b, odd),
                         __builtin_shuffle(c, d, even), __builtin_shuffle(c, d, odd)};
#pragma GCC unroll 4
  for (int64_t j = 0; j < 4; ++j) {
    std::memcpy(to + j * kTileColumns, &lines[j], sizeof lines[j]);
    const Pairs pairs = reinterpret_cast<Pairs>(lines[j]);
    sums += (pairs << 8 >> 8) + (pairs >> 8);
  }
}

// Up to 16 rows of tiles, two tiles of four rows at a time: what a row's inputs are made of is one
// line of the caches.
template <class Runs>
void fill_tiles(const Runs& runs, int64_t first, int64_t rows, int64_t in, int8_t* tiles,
                int32_t* sums) {
  constexpr int64_t kEach = Runs::kBlock / kRun, kAtOnce = 8;
  Fours totals[kTileRows / 4] = {};
  for (int64_t i = 0; i < in / kRun; i += kAtOnce) {
    const int64_t end = std::min(i + kAtOnce, in / kRun);
    for (int64_t r = 0; r < rows; r += 4) {
      Pairs some{};
      for (int64_t run = i; run < end; run += kEach) {
        Sixteen taken[4 * kEach];
#pragma GCC unroll 4
        for (int64_t j = 0; j < 4; ++j)
          runs.take(first + std::min(r + j, rows - 1), run, taken + j * kEach);
        for (int64_t each = 0; each < kEach; ++each) {
          const int64_t at = run + each;
          write_lines(taken + each, kEach,
                      tiles + at / 4 * kTileBytes + at % 4 * 4 * kTileColumns + r * 4, some);
        }
      }
      const Fours both = reinterpret_cast<Fours>(some);
      totals[r / 4] += (both << 16 >> 16) + (both >> 16);
    }
  }
  for (int64_t r = 0; r < rows; ++r) sums[r] = 128 * totals[r / 4][r % 4];
}

// Rows [first, first + to.out) into `to`.
template <class Runs>
void fill_all(const Runs& runs, const Tensor& scales, int64_t first, Int8Weight& to) {
  auto* tiles = to.tiles.mutable_data_ptr<int8_t>();
  auto* sums = to.sums.mutable_data_ptr<int32_t>();
  const int64_t row_bytes = inner_tiles(to.in) * kTileBytes;
  at::parallel_for(0, tiles_for(to.out, kTileRows), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i * kTileRows;
      fill_tiles(runs, first + row, std::min(kTileRows, to.out - row), to.in, tiles + i * row_bytes,
                 sums + row);
    }
  });
  to.scales.narrow(0, 0, to.out).copy_(scales.narrow(0, first, to.out));
}

template <class Runs>
Int8Weight made_tiles(const Runs& runs, const Tensor& scales, int64_t first, int64_t count) {
  Int8Weight made = empty_weight(count, runs.in);
  fill_all(runs, scales, first, made);
  return made;
}

}  // namespace icedit::kernels
