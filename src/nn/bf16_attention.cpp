#include "nn/bf16_attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#if defined(__x86_64__)
#include "nn/bf16_tiles.h"
#include "nn/kernels/amx_attention.h"
#include "nn/kernels/cpu.h"

namespace icedit {
namespace {

using namespace bf16;  // NOLINT: its parts
using at::native::cpublas::brgemm;

// Of a row of n more scores: their probabilities times 2^max, and what was summed so far
// brought to the new maximum. Returns the factor that does so.
ICEDIT_AVX512_BF16 float soften(const float* scores, int64_t n, float scale, float& max, float& sum,
                                BF16* probabilities) {
  const __m512 scales = _mm512_set1_ps(scale);
  const __m512 lowest = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  __m512 most = _mm512_set1_ps(max);
  for (int64_t i = 0; i < n; i += kLanes) {
    const __m512 x = _mm512_maskz_loadu_ps(lanes(n - i), scores + i);
    most = _mm512_max_ps(most, _mm512_mask_mul_ps(lowest, lanes(n - i), x, scales));
  }
  const float before = max;
  max = _mm512_reduce_max_ps(most);
  const __m512 maxima = _mm512_set1_ps(max);
  __m512 total = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += kLanes) {
    const __mmask16 mask = lanes(n - i);
    const __m512 x = _mm512_maskz_loadu_ps(mask, scores + i);
    const __m512 p = power_of_2(_mm512_fmsub_ps(x, scales, maxima), mask);
    total = _mm512_add_ps(total, p);
    store(probabilities + i, p, mask);
  }
  const float factor = std::exp2(before - max);
  sum = sum * factor + _mm512_reduce_add_ps(total);
  return factor;
}

// Queries `from` to `to` against all keys, `length` of them. keys: pair_transposed, values:
// pair_rows.
void attend(const Head& q, int64_t from, int64_t to, const BF16* keys, const BF16* values,
            int64_t length, float scale, const Head& out, float* log_sum) {
  constexpr int64_t kQueries = 64, kKeys = 512;  // scores of a tile stay in the second cache
  const int64_t width = q.width;
  std::vector<float> scores(kQueries * kKeys), sums(kQueries * width);
  std::vector<BF16> probabilities(kQueries * kKeys);
  float max[kQueries], sum[kQueries];
  for (int64_t s = from; s < to; s += kQueries) {
    const int64_t m = std::min(kQueries, to - s);
    std::fill_n(max, m, -std::numeric_limits<float>::infinity());
    std::fill_n(sum, m, 0.0F);
    for (int64_t key = 0; key < length; key += kKeys) {
      const int64_t n = std::min(kKeys, length - key);
      brgemm(m, n, width, q.stride, length, n, false, q.row(s), keys + 2 * key, scores.data());
      for (int64_t i = 0; i < m; ++i) {
        const float factor =
            soften(&scores[i * n], n, scale * kLog2E, max[i], sum[i], &probabilities[i * n]);
        if (key == 0 || factor == 1.0F) continue;
        for (int64_t d = 0; d < width; ++d) sums[i * width + d] *= factor;
      }
      brgemm(m, width, n, n, width, width, key > 0, probabilities.data(), values + key * width,
             sums.data());
    }
    for (int64_t i = 0; i < m; ++i) {
      store_row(&sums[i * width], 1.0F / sum[i], out.row(s + i), width);
      log_sum[s + i] = (max[i] + std::log2(sum[i])) / kLog2E;
    }
  }
}

// oneDNN may have been told to use less than the CPU has.
bool has_products() {
  if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || at::native::cpublas::could_pack(at::kBFloat16))
    return false;
  try {
    std::vector<BF16> in(32 * 32, BF16(0.0F));
    std::vector<float> out(32 * 32);
    brgemm(32, 32, 32, 32, 32, 32, false, in.data(), in.data(), out.data());
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

bool is_in_bf16(const Tensor& q, const Tensor& k, const Tensor& v) {
  const auto is_bf16 = [](const Tensor& t) {
    return t.is_cpu() && t.scalar_type() == at::kBFloat16;
  };
  return is_bf16(q) && is_bf16(k) && is_bf16(v) && q.dim() == 4 && k.sizes() == v.sizes() &&
         k.dim() == 4 && q.size(0) == k.size(0) && q.size(1) == k.size(1) &&
         q.size(3) == k.size(3) && q.size(3) % 32 == 0 && q.numel() > 0 && k.numel() > 0;
}

}  // namespace

bool fits_bf16_attention(const Tensor& q, const Tensor& k, const Tensor& v) {
  static const bool products = has_products();
  return is_in_bf16(q, k, v) && (kernels::has_amx() || (products && k.size(2) % 2 == 0));
}

Attended bf16_attention(const Tensor& query, const Tensor& key, const Tensor& value, double scale) {
  const Tensor q = by_rows(query), k = by_rows(key), v = by_rows(value);
  const int64_t heads = q.size(1), width = q.size(3), queries = q.size(2), length = k.size(2);
  const Tensor out = like_rows(q);
  const Tensor log_sum = at::empty({q.size(0), heads, queries}, q.options().dtype(at::kFloat));
  if (kernels::has_amx()) {
    kernels::amx_attention(q, k, v, scale, out, log_sum);
    return {out, log_sum};
  }
  const Tensor keys = at::empty({q.size(0), heads, length * width}, q.options());
  const Tensor values = at::empty_like(keys);
  const int64_t size = length * width, all = q.size(0) * heads;
  auto *paired_k = keys.data_ptr<BF16>(), *paired_v = values.data_ptr<BF16>();
  at::parallel_for(0, all, 1, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      pair_transposed(Head(k, i / heads, i % heads), paired_k + i * size);
      pair_rows(Head(v, i / heads, i % heads), paired_v + i * size);
    }
  });
  constexpr int64_t kPiece = 256;  // queries
  const int64_t pieces = (queries + kPiece - 1) / kPiece;
  at::parallel_for(0, all * pieces, 1, [&](int64_t from, int64_t to) {
    for (int64_t at = from; at < to; ++at) {
      const int64_t i = at / pieces, first = at % pieces * kPiece;
      attend(Head(q, i / heads, i % heads), first, std::min(first + kPiece, queries),
             paired_k + i * size, paired_v + i * size, length, float(scale),
             Head(out, i / heads, i % heads), log_sum.data_ptr<float>() + i * queries);
    }
    at::native::cpublas::brgemm_release();
  });
  return {out, log_sum};
}

}  // namespace icedit

#else

namespace icedit {

bool fits_bf16_attention(const Tensor&, const Tensor&, const Tensor&) {
  return false;
}
Attended bf16_attention(const Tensor&, const Tensor&, const Tensor&, double) {
  return {};
}

}  // namespace icedit

#endif
