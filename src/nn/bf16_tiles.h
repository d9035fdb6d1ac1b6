#pragma once
// What attention and products in bf16 are made of. Included by their .cpp files alone, on x86-64.
#include <ATen/ATen.h>
#include <ATen/native/CPUBlas.h>
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "base/tensor.h"

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

}  // namespace icedit::bf16
