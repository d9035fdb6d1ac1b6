#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "nn/bf16_attention.h"

#if defined(__x86_64__)
#include "nn/bf16_tiles.h"
#include "nn/kernels/amx_attention.h"
#include "nn/kernels/cpu.h"

namespace icedit {
namespace {

using namespace bf16;  // NOLINT: its parts
using at::native::cpublas::brgemm;

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
  for (int64_t i = 0; i < n; i += kLanes) {
    const __mmask16 mask = lanes(n - i);
    const __m512 log2_sums = _mm512_maskz_loadu_ps(mask, log2_sum + i);
    const __m512 deltas = _mm512_maskz_loadu_ps(mask, delta + i);
    __m512 grads[2];
    for (int64_t key = 0; key < 2; ++key) {
      const int64_t at = key * n + i;
      const __m512 score = _mm512_maskz_loadu_ps(mask, rows.scores + at);
      const __m512 grad = _mm512_maskz_loadu_ps(mask, rows.grad + at);
      const __m512 p = power_of_2(_mm512_fmsub_ps(score, scale2, log2_sums), mask);
      grads[key] = _mm512_mul_ps(_mm512_mul_ps(p, _mm512_sub_ps(grad, deltas)), scales);
      store(rows.probabilities + at, p, mask);
      store(rows.grad_scores + at, grads[key], mask);
    }
    _mm512_mask_storeu_epi32(rows.grad_pairs + 2 * i, mask, paired(grads[0], grads[1]));
  }
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

}  // namespace

AttentionGradients bf16_attention_backward(const Tensor& grad, const Tensor& query,
                                           const Tensor& key, const Tensor& value,
                                           const Attended& forward, double scale) {
  const Tensor q = by_rows(query), k = by_rows(key), v = by_rows(value), g = by_rows(grad);
  const Tensor out = by_rows(forward.out), log_sum = forward.log_sum.contiguous();
  const AttentionGradients made{like_rows(q), like_rows(q), like_rows(q)};
  if (kernels::has_amx()) {
    kernels::amx_attention_backward(g, q, k, v, out, log_sum, scale, made.q, made.k, made.v);
    return made;
  }
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

AttentionGradients bf16_attention_backward(const Tensor&, const Tensor&, const Tensor&,
                                           const Tensor&, const Attended&, double) {
  return {};
}

}  // namespace icedit

#endif
