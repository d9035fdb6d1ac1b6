#pragma once
// How products of tiles go through memory.
#include <algorithm>
#include <cstdint>

#include "nn/kernels/tiles.h"

namespace icedit::kernels {

// How much of each dimension a thread takes at once: sums and both factors stay in its second
// cache.
struct Blocking {
  int64_t rows = 256, columns = 512, tiles = 8;
};

// The sums of a.rows x columns over all `tiles` of the inner dimension, b.tiles at a time, so that
// what the step reads of 32 columns stays in the first cache while all rows pass. `first`: the step
// of the first 32 x 32 sums, with room for all from its c on. finish(c, row, column): of every 32 x
// 32 when they are complete.
template <class Kernel, class Step, class Finish>
void add_up(const Step& first, int64_t rows, int64_t columns, int64_t tiles, int64_t at_once,
            const Finish& finish) {
  constexpr int64_t kValuesA = kTileBytes / sizeof(*first.a),
                    kValuesB = kTileBytes / sizeof(*first.b);
  for (int64_t t = 0; t < tiles; t += at_once) {
    Step step = first;
    step.tiles = std::min(at_once, tiles - t);
    step.onto = t > 0;
    for (int64_t n = 0; n < columns; n += kBlock) {
      for (int64_t m = 0; m < rows; m += kBlock, step.c += kBlock * kBlock) {
        step.a = first.a + m / kTileRows * first.a_stride + t * kValuesA;
        step.b = first.b + n / kTileRows * first.b_stride + t * kValuesB;
        Kernel::step(step);
        if (t + at_once >= tiles) finish(step.c, m, n);
      }
    }
  }
}

}  // namespace icedit::kernels
