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

namespace avx2 {
#include "nn/kernels/lanes.inc"
//
#include "nn/kernels/weight_rows.inc"
}  // namespace avx2

#if defined(__x86_64__)
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
namespace avx512 {
#define ICEDIT_LANES_AVX512
#include "nn/kernels/lanes.inc"
//
#include "nn/kernels/weight_rows.inc"
}  // namespace avx512
#pragma GCC pop_options
#else
namespace avx512 = avx2;
#endif

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
