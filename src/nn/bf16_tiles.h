#pragma once
// What attention and products in bf16 are made of. Included by their .cpp files alone, on x86-64.
#include <ATen/ATen.h>
#include <ATen/native/CPUBlas.h>
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "base/tensor.h"
#include "nn/kernels/tiles.h"

// gcc's bug 105593, in immintrin.h
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

// One program runs on every x86-64; only what is marked so needs the CPU that is asked for first.
#define ICEDIT_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

namespace icedit::bf16 {

using BF16 = at::BFloat16;

constexpr float kLog2E = 1.44269504088896340736F;  // exponentials are taken to the base 2
constexpr int64_t kLanes = 16;

// S rows of D values of one head; rows lie `stride` apart.
struct Head {
  BF16* data;
  int64_t stride, rows, width;

  Head(const Tensor& t, int64_t batch, int64_t head)
      : data(t.data_ptr<BF16>() + batch * t.stride(0) + head * t.stride(1)),
        stride(t.stride(2)),
        rows(t.size(2)),
        width(t.size(3)) {}
  BF16* row(int64_t i) const { return data + i * stride; }
};

inline Tensor by_rows(const Tensor& t) {
  return t.stride(3) == 1 ? t : t.contiguous();
}

inline Tensor like_rows(const Tensor& t) {
  return at::empty({t.size(0), t.size(2), t.size(1), t.size(3)}, t.options().memory_format({}))
      .transpose(1, 2);
}

// The bf16 products read their right factor [K, N] as [K/2, N, 2]: pairs of rows side by side.

// [N, K] -> [K/2, N, 2] of its transpose.
inline void pair_transposed(const Head& in, BF16* out) {
  for (int64_t from = 0; from < in.rows; from += kLanes) {
    const int64_t to = std::min(from + kLanes, in.rows);
    for (int64_t d = 0; d < in.width; d += 2) {
      for (int64_t s = from; s < to; ++s)
        std::memcpy(out + d * in.rows + 2 * s, in.row(s) + d, 2 * sizeof(BF16));
    }
  }
}

// [K, N] -> [K/2, N, 2].
inline void pair_rows(const Head& in, BF16* out) {
  for (int64_t s = 0; s < in.rows; s += 2) {
    const BF16 *even = in.row(s), *odd = in.row(s + 1);
    for (int64_t d = 0; d < in.width; ++d) {
      *out++ = even[d];
      *out++ = odd[d];
    }
  }
}

// [N, K] -> [K, N].
inline void transpose(const Head& in, BF16* out) {
  for (int64_t from = 0; from < in.rows; from += kLanes) {
    const int64_t to = std::min(from + kLanes, in.rows);
    for (int64_t d = 0; d < in.width; ++d) {
      for (int64_t s = from; s < to; ++s) out[d * in.rows + s] = in.row(s)[d];
    }
  }
}

ICEDIT_AVX512_BF16 inline __mmask16 lanes(int64_t left) {
  return left >= kLanes ? __mmask16(0xffff) : __mmask16((1U << left) - 1);
}

ICEDIT_AVX512_BF16 inline __m512 wide(const BF16* values) {
  const __m512i pairs = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)values));
  return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
}

// 2^x to 3e-6 of it, for sums of what is rounded to bf16; 2^-125 where x is below -125, 0 where the
// mask is. 2^round(x), as whole numbers, times a minimax polynomial of the rest, |rest| <= 1/2.
ICEDIT_AVX512_BF16 inline __m512 power_of_2(__m512 x, __mmask16 mask) {
  constexpr float kFactors[] = {0.0559178603F, 0.240247448F, 0.693121815F, 0.999999261F};
  x = _mm512_max_ps(_mm512_set1_ps(-125.0F), x);     // the second operand where one is not a number
  const __m512 magic = _mm512_set1_ps(12582912.0F);  // 1.5 x 2^23: behind it no fraction is left
  const __m512 shifted = _mm512_add_ps(x, magic);
  const __m512 rest = _mm512_sub_ps(x, _mm512_sub_ps(shifted, magic));
  __m512 sum = _mm512_set1_ps(0.00957010191F);
  for (const float factor : kFactors) sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(factor));
  const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
  return _mm512_castsi512_ps(_mm512_maskz_add_epi32(mask, _mm512_castps_si512(sum), exponent));
}

ICEDIT_AVX512_BF16 inline void store(BF16* to, __m512 values, __mmask16 mask) {
  _mm256_mask_storeu_epi16(to, mask, (__m256i)_mm512_cvtneps_pbh(values));
}

ICEDIT_AVX512_BF16 inline void store_row(const float* from, float factor, BF16* to, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const __mmask16 mask = lanes(n - i);
    store(to + i, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, from + i), _mm512_set1_ps(factor)),
          mask);
  }
}

// The first 16 and the last 16 values -> pairs of one of each.
ICEDIT_AVX512_BF16 inline __m512i side_by_side(__m512i both) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, both);
}

// Pairs of a value of each, rounded.
ICEDIT_AVX512_BF16 inline __m512i paired(__m512 even, __m512 odd) {
  return side_by_side((__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

// The sum of a b over n values.
ICEDIT_AVX512_BF16 inline float dot(const BF16* a, const BF16* b, int64_t n) {
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += 2 * kLanes)
    sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_loadu_si512(a + i),
                           (__m512bh)_mm512_loadu_si512(b + i));
  return _mm512_reduce_add_ps(sum);
}

// Right factors as AMX reads them: tiles of 32 rows x 16 columns, 1 KiB (nn/kernels/amx.h).
// 16 rows of 16 pairs -> 16 rows of the pairs at one place.
ICEDIT_AVX512_BF16 inline void transpose(__m512i (&r)[kLanes]) {
  __m512i t[kLanes];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int j = 0; j < 2; ++j) {
      r[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + 2 + j]);
      r[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + 2 + j]);
    }
  }
  // Of 128 bits each, r[i + j] now has places j, 4 + j, 8 + j, 12 + j of rows i to i + 3.
  for (int j = 0; j < 4; ++j) {
    for (int i = 0; i < 16; i += 8) {
      t[i + j] = _mm512_shuffle_i32x4(r[i + j], r[i + 4 + j], 0x88);
      t[i + 4 + j] = _mm512_shuffle_i32x4(r[i + j], r[i + 4 + j], 0xdd);
    }
    for (int i = 0; i < 8; i += 4) {
      r[i + j] = _mm512_shuffle_i32x4(t[i + j], t[8 + i + j], 0x88);
      r[8 + i + j] = _mm512_shuffle_i32x4(t[i + j], t[8 + i + j], 0xdd);
    }
  }
}

// 16 rows of [N, K], `count` of which are there -> the tiles of these columns of its transpose.
ICEDIT_AVX512_BF16 inline void pack_columns(const BF16* from, int64_t stride, int64_t count,
                                            int64_t width, BF16* to) {
  for (int64_t k = 0; k < width; k += kernels::kTileHalves, to += kernels::kTileHalves * kLanes) {
    __m512i rows[kLanes];
    for (int64_t n = 0; n < kLanes; ++n)
      rows[n] = n < count ? _mm512_loadu_si512(from + n * stride + k) : _mm512_setzero_si512();
    transpose(rows);
    for (int64_t pair = 0; pair < kLanes; ++pair)
      _mm512_store_si512(to + pair * kernels::kTileHalves, rows[pair]);
  }
}

// 32 rows of [K, N], `count` of which are there -> a tile for each 16 of `width` columns, `next`
// apart.
ICEDIT_AVX512_BF16 inline void pack_pairs(const BF16* from, int64_t stride, int64_t count,
                                          int64_t width, BF16* to, int64_t next) {
  for (int64_t row = 0; row < kernels::kTileHalves;
       row += 2, from += 2 * stride, to += kernels::kTileHalves) {
    for (int64_t n = 0; n < width; n += kLanes) {
      __m256i even = _mm256_setzero_si256(), odd = even;
      if (row < count) even = _mm256_loadu_si256((const __m256i*)(from + n));
      if (row + 1 < count) odd = _mm256_loadu_si256((const __m256i*)(from + stride + n));
      const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(even), odd, 1);
      _mm512_store_si512(to + n / kLanes * next, side_by_side(both));
    }
  }
}

// 16 rows from `first` on as tiles of a left factor; zeros behind the last.
ICEDIT_AVX512_BF16 inline void pack_rows(const Head& from, int64_t first, BF16* to) {
  for (int64_t i = first; i < first + kernels::kTileRows; ++i, to += kernels::kTileHalves) {
    for (int64_t d = 0; d < from.width; d += kernels::kTileHalves)
      _mm512_store_si512(to + d * kernels::kTileRows, i < from.rows
                                                          ? _mm512_loadu_si512(from.row(i) + d)
                                                          : _mm512_setzero_si512());
  }
}

// The tiles that pack_columns makes of 32 rows, those of 16 rows `next` apart -> of each 16
// columns the tile of a left factor that has the columns as its rows, `to_next` apart.
ICEDIT_AVX512_BF16 inline void turn_columns(const BF16* from, int64_t next, int64_t width, BF16* to,
                                            int64_t to_next) {
  alignas(64) uint16_t evens[kernels::kTileHalves];
  for (int i = 0; i < kernels::kTileHalves; ++i) evens[i] = uint16_t(2 * i);
  const __m512i even = _mm512_load_si512(evens), odd = _mm512_add_epi16(even, _mm512_set1_epi16(1));
  for (int64_t d = 0; d < width; d += 2, from += kernels::kTileHalves) {
    const __m512i a = _mm512_load_si512(from), b = _mm512_load_si512(from + next);
    BF16* row =
        to + d / kernels::kTileRows * to_next + d % kernels::kTileRows * kernels::kTileHalves;
    _mm512_store_si512(row, _mm512_permutex2var_epi16(a, even, b));
    _mm512_store_si512(row + kernels::kTileHalves, _mm512_permutex2var_epi16(a, odd, b));
  }
}

}  // namespace icedit::bf16
