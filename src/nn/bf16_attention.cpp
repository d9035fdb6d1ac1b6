#include "nn/bf16_attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
// gcc's bug 105593, in immintrin.h
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

// One program runs on every x86-64; only what is marked so needs the CPU that is asked for first.
#define ICEDIT_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

namespace icedit {
namespace {

using BF16 = at::BFloat16;
using at::native::cpublas::brgemm;

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

Tensor by_rows(const Tensor& t) {
  return t.stride(3) == 1 ? t : t.contiguous();
}

Tensor like_rows(const Tensor& t) {
  return at::empty({t.size(0), t.size(2), t.size(1), t.size(3)}, t.options().memory_format({}))
      .transpose(1, 2);
}

// The bf16 products read their right factor [K, N] as [K/2, N, 2]: pairs of rows side by side.

// [N, K] -> [K/2, N, 2] of its transpose.
void pair_transposed(const Head& in, BF16* out) {
  for (int64_t from = 0; from < in.rows; from += kLanes) {
    const int64_t to = std::min(from + kLanes, in.rows);
    for (int64_t d = 0; d < in.width; d += 2) {
      for (int64_t s = from; s < to; ++s)
        std::memcpy(out + d * in.rows + 2 * s, in.row(s) + d, 2 * sizeof(BF16));
    }
  }
}

// [K, N] -> [K/2, N, 2].
void pair_rows(const Head& in, BF16* out) {
  for (int64_t s = 0; s < in.rows; s += 2) {
    const BF16 *even = in.row(s), *odd = in.row(s + 1);
    for (int64_t d = 0; d < in.width; ++d) {
      *out++ = even[d];
      *out++ = odd[d];
    }
  }
}

// [N, K] -> [K, N].
void transpose(const Head& in, BF16* out) {
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

// 2^x to 2e-7 of it: 2^round(x) times the exponential series of the rest, |rest| <= 1/2.
ICEDIT_AVX512_BF16 inline __m512 power_of_2(__m512 x) {
  constexpr float kLn2 = 0.693147180559945309417F;
  constexpr float kSeries[] = {kLn2 / 6, kLn2 / 5, kLn2 / 4, kLn2 / 3, kLn2 / 2, kLn2};
  x = _mm512_max_ps(_mm512_set1_ps(-150.0F), x);  // the second operand where one is not a number
  const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 rest = _mm512_sub_ps(x, whole), one = _mm512_set1_ps(1.0F);
  __m512 sum = one;
  for (const float factor : kSeries)
    sum = _mm512_fmadd_ps(_mm512_mul_ps(rest, _mm512_set1_ps(factor)), sum, one);
  return _mm512_scalef_ps(sum, whole);
}

ICEDIT_AVX512_BF16 inline void store(BF16* to, __m512 values, __mmask16 mask) {
  _mm256_mask_storeu_epi16(to, mask, (__m256i)_mm512_cvtneps_pbh(values));
}

ICEDIT_AVX512_BF16 void store_row(const float* from, float factor, BF16* to, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const __mmask16 mask = lanes(n - i);
    store(to + i, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, from + i), _mm512_set1_ps(factor)),
          mask);
  }
}

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
    const __m512 p = power_of_2(_mm512_fmsub_ps(x, scales, maxima));
    total = _mm512_mask_add_ps(total, mask, total, p);
    store(probabilities + i, p, mask);
  }
  const float factor = std::exp2(before - max);
  sum = sum * factor + _mm512_reduce_add_ps(total);
  return factor;
}

// Queries `from` to `to` against all keys. keys: pair_transposed, values: pair_rows.
void attend(const Head& q, int64_t from, int64_t to, const BF16* keys, const BF16* values,
            float scale, const Head& out, float* log_sum) {
  constexpr int64_t kQueries = 64, kKeys = 512;  // scores of a tile stay in the second cache
  const int64_t length = q.rows, width = q.width;
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

// What each key's row of scores and of grad_out v^T, [n queries], becomes: probabilities, and the
// scores' gradients. Two keys at a time, since gradients are wanted as [key, query] and as
// [key/2, query, 2].
struct KeyRows {
  const float *scores, *grad;  // [2, n]
  BF16 *probabilities, *grad_scores, *grad_pairs;
};

ICEDIT_AVX512_BF16 void differentiate(const KeyRows& rows, int64_t n, float scale,
                                      const float* log2_sum, const float* delta) {
  const __m512 scale2 = _mm512_set1_ps(scale * kLog2E), scales = _mm512_set1_ps(scale);
  const __m512i even_first =
      _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                       21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  for (int64_t i = 0; i < n; i += kLanes) {
    const __mmask16 mask = lanes(n - i);
    const __m512 log2_sums = _mm512_maskz_loadu_ps(mask, log2_sum + i);
    const __m512 deltas = _mm512_maskz_loadu_ps(mask, delta + i);
    __m512 grads[2];
    for (int64_t key = 0; key < 2; ++key) {
      const int64_t at = key * n + i;
      const __m512 score = _mm512_maskz_loadu_ps(mask, rows.scores + at);
      const __m512 grad = _mm512_maskz_loadu_ps(mask, rows.grad + at);
      const __m512 p = power_of_2(_mm512_fmsub_ps(score, scale2, log2_sums));
      grads[key] = _mm512_mul_ps(_mm512_mul_ps(p, _mm512_sub_ps(grad, deltas)), scales);
      store(rows.probabilities + at, p, mask);
      store(rows.grad_scores + at, grads[key], mask);
    }
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(grads[1], grads[0]);
    _mm512_mask_storeu_epi32(rows.grad_pairs + 2 * i, mask,
                             _mm512_permutexvar_epi16(even_first, both));
  }
}

// sum over d of a b.
ICEDIT_AVX512_BF16 float dot(const BF16* a, const BF16* b, int64_t n) {
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += 2 * kLanes)
    sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_loadu_si512(a + i),
                           (__m512bh)_mm512_loadu_si512(b + i));
  return _mm512_reduce_add_ps(sum);
}

// The gradients of one head. Products run over keys x queries, so that those of k and v are sums
// over a row of tiles; q's are gathered transposed, [D, S].
class HeadBackward {
 public:
  HeadBackward(int64_t length, int64_t width)
      : length_(length),
        width_(width),
        paired_q_t_(length * width),
        paired_grad_t_(length * width),
        paired_q_(length * width),
        paired_grad_(length * width),
        k_t_(length * width),
        grad_q_t_(length * width),
        log2_sum_(length),
        delta_(length) {}

  void operator()(const Head& grad_out, const Head& q, const Head& k, const Head& v,
                  const Head& out, const float* log_sum, float scale, const Head& grad_q,
                  const Head& grad_k, const Head& grad_v) {
    pair_transposed(q, paired_q_t_.data());
    pair_transposed(grad_out, paired_grad_t_.data());
    pair_rows(q, paired_q_.data());
    pair_rows(grad_out, paired_grad_.data());
    transpose(k, k_t_.data());
    for (int64_t s = 0; s < length_; ++s) {
      log2_sum_[s] = log_sum[s] * kLog2E;
      delta_[s] = dot(grad_out.row(s), out.row(s), width_);
    }
    for (int64_t key = 0; key < length_; key += kKeys) {
      const int64_t n = std::min(kKeys, length_ - key);
      for (int64_t query = 0; query < length_; query += kQueries)
        tile(k, v, key, n, query, std::min(kQueries, length_ - query), scale);
      for (int64_t i = 0; i < n; ++i) {
        store_row(&sum_k_[i * width_], 1.0F, grad_k.row(key + i), width_);
        store_row(&sum_v_[i * width_], 1.0F, grad_v.row(key + i), width_);
      }
    }
    for (int64_t from = 0; from < length_; from += kLanes) {
      for (int64_t d = 0; d < width_; ++d) {
        for (int64_t s = from; s < std::min(from + kLanes, length_); ++s)
          grad_q.row(s)[d] = grad_q_t_[d * length_ + s];
      }
    }
  }

 private:
  static constexpr int64_t kKeys = 64, kQueries = 512;

  void tile(const Head& k, const Head& v, int64_t key, int64_t n, int64_t query, int64_t m,
            float scale) {
    brgemm(n, m, width_, k.stride, length_, m, false, k.row(key), &paired_q_t_[2 * query],
           scores_.data());
    brgemm(n, m, width_, v.stride, length_, m, false, v.row(key), &paired_grad_t_[2 * query],
           grad_.data());
    for (int64_t i = 0; i < n; i += 2) {
      const int64_t at = i * m;
      differentiate(
          {&scores_[at], &grad_[at], &probabilities_[at], &grad_scores_[at], &grad_pairs_[at]}, m,
          scale, &log2_sum_[query], &delta_[query]);
    }
    brgemm(n, width_, m, m, width_, width_, query > 0, probabilities_.data(),
           &paired_grad_[query * width_], sum_v_.data());
    brgemm(n, width_, m, m, width_, width_, query > 0, grad_scores_.data(),
           &paired_q_[query * width_], sum_k_.data());
    brgemm(width_, m, n, length_, m, length_, key > 0, &k_t_[key], grad_pairs_.data(),
           &grad_q_t_[query]);
  }

  int64_t length_, width_;
  std::vector<BF16> paired_q_t_, paired_grad_t_, paired_q_, paired_grad_, k_t_;
  std::vector<float> grad_q_t_, log2_sum_, delta_;
  std::vector<float> scores_ = std::vector<float>(kKeys * kQueries), grad_ = scores_;
  std::vector<BF16> probabilities_ = std::vector<BF16>(kKeys * kQueries),
                    grad_scores_ = probabilities_, grad_pairs_ = probabilities_;
  std::vector<float> sum_k_ = std::vector<float>(kKeys * width_), sum_v_ = sum_k_;
};

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

}  // namespace

bool fits_bf16_attention(const Tensor& q, const Tensor& k, const Tensor& v) {
  static const bool products = has_products();
  const auto is_bf16 = [](const Tensor& t) {
    return t.is_cpu() && t.scalar_type() == at::kBFloat16;
  };
  return products && is_bf16(q) && is_bf16(k) && is_bf16(v) && q.dim() == 4 &&
         q.sizes() == k.sizes() && q.sizes() == v.sizes() && q.size(2) % 2 == 0 &&
         q.size(3) % 32 == 0 && q.numel() > 0;
}

Attended bf16_attention(const Tensor& query, const Tensor& key, const Tensor& value, double scale) {
  const Tensor q = by_rows(query), k = by_rows(key), v = by_rows(value);
  const int64_t heads = q.size(1), length = q.size(2), width = q.size(3);
  const Tensor out = like_rows(q);
  const Tensor log_sum = at::empty({q.size(0), heads, length}, q.options().dtype(at::kFloat));
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
  const int64_t pieces = (length + kPiece - 1) / kPiece;
  at::parallel_for(0, all * pieces, 1, [&](int64_t from, int64_t to) {
    for (int64_t at = from; at < to; ++at) {
      const int64_t i = at / pieces, first = at % pieces * kPiece;
      attend(Head(q, i / heads, i % heads), first, std::min(first + kPiece, length),
             paired_k + i * size, paired_v + i * size, float(scale),
             Head(out, i / heads, i % heads), log_sum.data_ptr<float>() + i * length);
    }
    at::native::cpublas::brgemm_release();
  });
  return {out, log_sum};
}

AttentionGradients bf16_attention_backward(const Tensor& grad, const Tensor& query,
                                           const Tensor& key, const Tensor& value,
                                           const Attended& forward, double scale) {
  const Tensor q = by_rows(query), k = by_rows(key), v = by_rows(value), g = by_rows(grad);
  const Tensor out = by_rows(forward.out), log_sum = forward.log_sum.contiguous();
  const AttentionGradients made{like_rows(q), like_rows(q), like_rows(q)};
  const int64_t heads = q.size(1), length = q.size(2);
  at::parallel_for(0, q.size(0) * heads, 1, [&](int64_t from, int64_t to) {
    HeadBackward backward(length, q.size(3));
    for (int64_t i = from; i < to; ++i) {
      const auto head = [&](const Tensor& t) { return Head(t, i / heads, i % heads); };
      backward(head(g), head(q), head(k), head(v), head(out),
               log_sum.data_ptr<float>() + i * length, float(scale), head(made.q), head(made.k),
               head(made.v));
    }
    at::native::cpublas::brgemm_release();
  });
  return made;
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
AttentionGradients bf16_attention_backward(const Tensor&, const Tensor&, const Tensor&,
                                           const Tensor&, const Attended&, double) {
  return {};
}

}  // namespace icedit

#endif
