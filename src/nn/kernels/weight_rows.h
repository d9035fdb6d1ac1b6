#pragma once
// Rows of weights made whole numbers of few bits (nn/int8_matrix.h, nn/int4_matrix.h): the same
// bits on every CPU.
#include <cstdint>

#include "base/tensor.h"

namespace icedit::kernels {

// Row / scale, rounded; columns: a multiple of 16. Returns the scale, the largest magnitude / 127.
float int8_row(const float* row, int64_t columns, int8_t* to);

// What codes of 4 bits may mean, rising, and the middles between two of them: the nearest level
// of a value is that whose number is how many middles lie below it.
struct Levels {
  alignas(64) float values[16], middles[16];  // 15 middles
};
Levels levels_of(const float* values);

struct Int4Levels {
  Levels exact;
  Levels rounded[256];  // times the run's factor of these 8 bits, to whole numbers
};

// Each run of 16 columns: the factor of its levels by least squares, then, of it and its two
// neighbours in 8 bits, the one whose rounded levels come nearest. codes [columns / 2], run_scales
// [columns / 16], f8e4m3. Returns the row's scale.
float int4_row(const float* row, int64_t columns, const Int4Levels& levels, uint8_t* codes,
               uint8_t* run_scales);

}  // namespace icedit::kernels
