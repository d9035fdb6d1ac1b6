#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "nn/kernels/amx_attention.h"

#if defined(__x86_64__)
#include "nn/bf16_tiles.h"
#include "nn/kernels/amx.h"

namespace icedit::kernels {
namespace {

using namespace bf16;  // NOLINT: its parts
using Step = amx::Bf16Step;

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16")

// Of a step's sums, where half of a row begins.
int64_t place(int64_t row, int64_t half) {
  return (row / kTileRows * 2 + half) * kTileRows * kLanes + row % kTileRows * kLanes;
}

struct HeadTensors {
  Head grad_out, q, k, v, out;
  const float* log_sum;
  Head grad_q, grad_k, grad_v;
};

// The gradients of one head after another. Products run over keys x queries, so that those of k and
// v are sums over the queries of some keys; q's are gathered transposed, [D, S].
class HeadBackward {
 public:
  HeadBackward(int64_t length, int64_t width, float scale)
      : length_(length), width_(width), blocks_(tiles_for(length, kBlock)), scale_(scale) {
    const int64_t all = blocks_ * kBlock, head = all * width / 2, keys = kKeys * width / 2,
                  scores = kKeys * kQueries / 2;
    memory_ = at::empty({4 * head + 2 * all + all * width + 3 * keys + 2 * kKeys * width +
                         3 * scores + kBlock * width / 2 + 4 * kBlockSums},
                        at::kFloat);
    auto* at = memory_.mutable_data_ptr<float>();
    const auto take = [&](int64_t count) { return std::exchange(at, at + count); };
    const auto halves = [&](int64_t count) { return reinterpret_cast<BF16*>(take(count)); };
    for (BF16** tiles : {&q_columns_, &grad_columns_, &q_pairs_, &grad_pairs_})
      *tiles = halves(head);
    log2_sums_ = take(all);
    deltas_ = take(all);
    grad_q_ = take(all * width);
    for (BF16** tiles : {&k_rows_, &v_rows_, &k_turned_}) *tiles = halves(keys);
    grad_k_ = take(kKeys * width);
    grad_v_ = take(kKeys * width);
    for (BF16** tiles : {&p_, &grad_scores_, &grad_scores_pairs_}) *tiles = halves(scores);
    columns_ = halves(kBlock * width / 2);
    for (float*& sums : sums_) sums = take(kBlockSums);
  }

  void operator()(const HeadTensors& h) {
    load_queries(h);
    for (int64_t key = 0; key < length_; key += kKeys) {
      keys_ = std::min(kKeys, length_ - key);
      key_blocks_ = tiles_for(keys_, kBlock);
      load_keys(h, key);
      for (int64_t query = 0; query < length_; query += kQueries) {
        query_blocks_ = tiles_for(std::min(kQueries, length_ - query), kBlock);
        differentiate(query);
        add_to_keys(p_, grad_pairs_, query, grad_v_);
        add_to_keys(grad_scores_, q_pairs_, query, grad_k_);
        add_to_queries(query, /*onto=*/key > 0);
      }
      store_keys(grad_k_, scale_, h.grad_k, key);
      store_keys(grad_v_, 1.0F, h.grad_v, key);
    }
    store_queries(h.grad_q);
  }

 private:
  static constexpr int64_t kKeys = 256, kQueries = 128;  // at once: all stays in the second cache

  void load_queries(const HeadTensors& h) {
    for (int64_t s = 0; s < blocks_ * kBlock; s += kTileRows) {
      pack_columns(h.q.row(s), h.q.stride, length_ - s, width_, q_columns_ + s * width_);
      pack_columns(h.grad_out.row(s), h.grad_out.stride, length_ - s, width_,
                   grad_columns_ + s * width_);
    }
    for (int64_t s = 0; s < length_; s += kBlock) {
      pack_pairs(h.q.row(s), h.q.stride, length_ - s, width_, q_pairs_ + s * kTileRows,
                 blocks_ * kTileValues);
      pack_pairs(h.grad_out.row(s), h.grad_out.stride, length_ - s, width_,
                 grad_pairs_ + s * kTileRows, blocks_ * kTileValues);
    }
    std::fill_n(log2_sums_, blocks_ * kBlock, 0.0F);
    std::fill_n(deltas_, blocks_ * kBlock, 0.0F);
    for (int64_t s = 0; s < length_; ++s) {
      log2_sums_[s] = h.log_sum[s] * kLog2E;
      deltas_[s] = dot(h.grad_out.row(s), h.out.row(s), width_);
    }
  }

  void load_keys(const HeadTensors& h, int64_t key) {
    for (int64_t i = 0; i < key_blocks_ * kBlock; i += kTileRows) {
      pack_rows(h.k, key + i, k_rows_ + i * width_);
      pack_rows(h.v, key + i, v_rows_ + i * width_);
    }
    const int64_t next = kTileRows * width_;
    for (int64_t i = 0; i < keys_; i += kBlock) {
      for (int64_t j = 0; j < kBlock; j += kTileRows)
        pack_columns(h.k.row(key + i + j), h.k.stride, length_ - key - i - j, width_,
                     columns_ + j * width_);
      turn_columns(columns_, next, width_, k_turned_ + i * kTileRows, kKeys * kTileRows);
    }
  }

  // kBlock keys times kBlock queries: the scores, and what the probabilities' gradients are.
  void multiply(int64_t key_block, int64_t query, float* scores, float* grads) {
    const int64_t next = kTileRows * width_, tiles = width_ / kTileHalves;
    const int64_t keys = key_block * kBlock * width_;
    amx::step(Step{k_rows_ + keys, next, q_columns_ + query * width_, next, tiles, scores, false});
    amx::step(
        Step{v_rows_ + keys, next, grad_columns_ + query * width_, next, tiles, grads, false});
  }

  // Probabilities and the gradients of scores (but for `scale`) of keys_ keys and query_blocks_.
  // The next products run beside the exponentials of those before.
  void differentiate(int64_t query) {
    const int64_t steps = key_blocks_ * query_blocks_;
    const auto start = [&](int64_t i) {
      multiply(i / query_blocks_, query + i % query_blocks_ * kBlock, sums_[i % 2],
               sums_[2 + i % 2]);
    };
    start(0);
    for (int64_t i = 0; i < steps; ++i) {
      if (i + 1 < steps) start(i + 1);
      differentiate_step(sums_[i % 2], sums_[2 + i % 2], i / query_blocks_, query,
                         i % query_blocks_);
    }
  }

  void differentiate_step(const float* scores, const float* grads, int64_t key_block, int64_t query,
                          int64_t query_block) {
    const __m512 scales = _mm512_set1_ps(scale_ * kLog2E);
    const int64_t first = query + query_block * kBlock;
    __m512 log2_sums[2], deltas[2];
    for (int64_t half = 0; half < 2; ++half) {
      log2_sums[half] = _mm512_load_ps(log2_sums_ + first + half * kLanes);
      deltas[half] = _mm512_load_ps(deltas_ + first + half * kLanes);
    }
    // As left factors [keys, queries], and as a right one, pairs of keys x queries.
    const int64_t left = key_block * kBlock * kQueries + query_block * kTileValues;
    BF16* pairs = grad_scores_pairs_ + query_block * kBlock * kKeys + key_block * kTileValues;
    for (int64_t i = 0; i < kBlock; i += 2) {
      __m512 made[2][2];  // of a key and of half the queries
      for (int64_t j = 0; j < 2; ++j) {
        const bool there = key_block * kBlock + i + j < keys_;
        __m512 p[2];
        for (int64_t half = 0; half < 2; ++half) {
          const int64_t at = place(i + j, half);
          p[half] =
              power_of_2(_mm512_fmsub_ps(_mm512_load_ps(scores + at), scales, log2_sums[half]),
                         there ? 0xffff : 0);
          made[j][half] =
              _mm512_mul_ps(p[half], _mm512_sub_ps(_mm512_load_ps(grads + at), deltas[half]));
        }
        const int64_t to =
            left + (i + j) / kTileRows * kTileRows * kQueries + (i + j) % kTileRows * kTileHalves;
        _mm512_store_si512(p_ + to, (__m512i)_mm512_cvtne2ps_pbh(p[1], p[0]));
        _mm512_store_si512(grad_scores_ + to, (__m512i)_mm512_cvtne2ps_pbh(made[j][1], made[j][0]));
      }
      for (int64_t half = 0; half < 2; ++half) {
        _mm512_store_si512(pairs + half * kTileRows * kKeys + i / 2 * kTileHalves,
                           paired(made[0][half], made[1][half]));
      }
    }
  }

  // [keys, queries] times [queries, D] of a head's pairs.
  void add_to_keys(const BF16* left, const BF16* pairs, int64_t query, float* to) {
    const int64_t next = blocks_ * kTileValues;
    for (int64_t d = 0; d < width_; d += kBlock) {
      for (int64_t key = 0; key < key_blocks_; ++key)
        amx::step(Step{left + key * kBlock * kQueries, kTileRows * kQueries,
                       pairs + d / kTileRows * next + query * kTileRows, next, query_blocks_,
                       to + (key * width_ + d) * kBlock, /*onto=*/query > 0});
    }
  }

  // [D, keys] times [keys, queries].
  void add_to_queries(int64_t query, bool onto) {
    for (int64_t i = 0; i < query_blocks_; ++i) {
      for (int64_t d = 0; d < width_; d += kBlock)
        amx::step(Step{k_turned_ + d * kKeys, kTileRows * kKeys,
                       grad_scores_pairs_ + i * kBlock * kKeys, kTileRows * kKeys, key_blocks_,
                       grad_q_ + ((query / kBlock + i) * width_ + d) * kBlock, onto});
    }
  }

  void store_keys(const float* sums, float factor, const Head& to, int64_t key) {
    for (int64_t i = 0; i < keys_; ++i) {
      for (int64_t d = 0; d < width_; d += kLanes) {
        const float* from = sums + (i / kBlock * width_ + d / kBlock * kBlock) * kBlock;
        store_row(from + place(i % kBlock, d / kLanes % 2), factor, to.row(key + i) + d, kLanes);
      }
    }
  }

  void store_queries(const Head& to) {
    for (int64_t s = 0; s < length_; s += kTileRows) {
      for (int64_t d = 0; d < width_; d += kLanes) {
        const float* from = grad_q_ + (s / kBlock * width_ + d / kBlock * kBlock) * kBlock +
                            place(d % kBlock, s / kTileRows % 2);
        __m512i rows[kLanes];  // of d
        for (int64_t i = 0; i < kLanes; ++i) rows[i] = _mm512_load_si512(from + i * kLanes);
        transpose(rows);
        for (int64_t i = 0; i < std::min(kTileRows, length_ - s); ++i)
          store(to.row(s + i) + d,
                _mm512_mul_ps(_mm512_castsi512_ps(rows[i]), _mm512_set1_ps(scale_)), 0xffff);
      }
    }
  }

  int64_t length_, width_, blocks_;
  int64_t keys_ = 0, key_blocks_ = 0, query_blocks_ = 0;  // of this pass
  float scale_;
  Tensor memory_;
  // Of the head: right factors of products over D, and over queries.
  BF16 *q_columns_, *grad_columns_, *q_pairs_, *grad_pairs_;
  float *log2_sums_, *deltas_, *grad_q_;
  // Of some keys: left factors of products over D, and of one over the keys.
  BF16 *k_rows_, *v_rows_, *k_turned_, *columns_;
  float *grad_k_, *grad_v_;
  // Of some keys and queries: left factors of products over queries, and a right one over keys.
  BF16 *p_, *grad_scores_, *grad_scores_pairs_;
  float* sums_[4];
};

#pragma GCC pop_options

}  // namespace

void amx_attention_backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v,
                            const Tensor& out, const Tensor& log_sum, double scale,
                            const Tensor& grad_q, const Tensor& grad_k, const Tensor& grad_v) {
  const int64_t heads = q.size(1), length = q.size(2), all = q.size(0) * heads;
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min<int64_t>(all, at::get_num_threads()), 1, [&](int64_t, int64_t) {
    HeadBackward backward(length, q.size(3), float(scale));
    amx::begin();
    for (int64_t i = next++; i < all; i = next++) {
      const auto head = [&](const Tensor& t) { return Head(t, i / heads, i % heads); };
      backward({head(grad), head(q), head(k), head(v), head(out),
                log_sum.data_ptr<float>() + i * length, head(grad_q), head(grad_k), head(grad_v)});
    }
    amx::end();
  });
}

}  // namespace icedit::kernels

#else

namespace icedit::kernels {

void amx_attention_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                            const Tensor&, const Tensor&, double, const Tensor&, const Tensor&,
                            const Tensor&) {}

}  // namespace icedit::kernels

#endif
