#include "nn/kernels/weight_rows.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "nn/kernels/cpu.h"
#include "nn/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace icedit::kernels {
namespace {

#define ICEDIT_KERNELS "nn/kernels/weight_rows.inc"
#include "nn/kernels/each_set.inc"

}  // namespace

Levels levels_of(const float* values) {
  Levels levels{};
  std::copy_n(values, kLanes, levels.values);
  for (int i = 0; i + 1 < kLanes; ++i) levels.middles[i] = (values[i] + values[i + 1]) / 2;
  return levels;
}

float int8_row(const float* row, int64_t columns, int8_t* to) {
  return has_avx512() ? avx512::int8_row(row, columns, to) : avx2::int8_row(row, columns, to);
}

float int4_row(const float* row, int64_t columns, const Int4Levels& levels, uint8_t* codes,
               uint8_t* run_scales) {
  return has_avx512() ? avx512::int4_row(row, columns, levels, codes, run_scales)
                      : avx2::int4_row(row, columns, levels, codes, run_scales);
}

}  // namespace icedit::kernels
