#include "nn/kernels/amx_attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#if defined(__x86_64__)
#include "nn/bf16_tiles.h"
#include "nn/kernels/amx.h"

namespace icedit::kernels {
namespace {

using namespace bf16;  // NOLINT: its parts

using Step = amx::Bf16Step;

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16")

// k and v of one head as right factors, padded with zeros to whole tiles.
struct Packed {
  BF16* keys;     // q k^T's: for each 16 keys the tiles of 32 dimensions
  BF16* values;   // p v's: for each 16 dimensions the tiles of 32 keys
  float* norms;   // of every kBlock keys the largest |k|^2
  int64_t count;  // of keys
};

// 16 keys at most -> their tiles, and the largest |k|^2.
float pack_keys(const Head& k, int64_t first, BF16* to) {
  pack_columns(k.row(first), k.stride, k.rows - first, k.width, to);
  __m512 squares = _mm512_setzero_ps();
  for (int64_t d = 0; d < k.width; d += 2) {
    const auto pairs = (__m512bh)_mm512_load_si512(to + d * kTileRows);
    squares = _mm512_dpbf16_ps(squares, pairs, pairs);
  }
  return _mm512_reduce_max_ps(squares);
}

// A thread's queries and what it makes of them.
class Attention {
 public:
  static constexpr int64_t kQueries = 128, kKeys = 256;  // at once: all stays in the second cache

  Attention(int64_t width, float scale)
      : width_(width),
        scale_(scale * kLog2E),
        memory_(at::empty({kQueries * width / 2 + kQueries * kKeys / 2 + 2 * kBlockSums +
                           kQueries * width + 2 * kQueries * kTileRows},
                          at::kFloat)) {
    auto* at = memory_.mutable_data_ptr<float>();
    const auto take = [&](int64_t count) { return std::exchange(at, at + count); };
    q_ = reinterpret_cast<BF16*>(take(kQueries * width / 2));
    p_ = reinterpret_cast<BF16*>(take(kQueries * kKeys / 2));
    scores_[0] = take(kBlockSums);
    scores_[1] = take(kBlockSums);
    out_ = take(kQueries * width);
    sums_ = take(kQueries * kTileRows);
    rounded_sums_ = take(kQueries * kTileRows);
  }

  // Queries from `first` on, kQueries at most.
  void operator()(const Head& q, int64_t first, const Packed& packed, const Head& out,
                  float* log_sum) {
    count_ = std::min(kQueries, q.rows - first);
    sides_ = tiles_for(count_, kBlock);
    const float longest = load_queries(q, first);
    choose_shifts(packed, longest);
    std::memset(sums_, 0, sizeof(float) * 2 * kQueries * kTileRows);
    for (int64_t key = 0; key < packed.count; key += kKeys) {
      soften(packed, key);
      mix(packed, key);
    }
    store(first, out, log_sum);
  }

 private:
  // As tiles of a left factor. Returns the largest |q|^2.
  float load_queries(const Head& q, int64_t first) {
    float longest = 0;
    for (int64_t i = 0; i < sides_ * kBlock; ++i) {
      BF16* to = q_ + i / kTileRows * kTileRows * width_ + i % kTileRows * kBlock;
      __m512 squares = _mm512_setzero_ps();
      for (int64_t d = 0; d < width_; d += kBlock, to += kTileValues) {
        const __m512i x =
            i < count_ ? _mm512_loadu_si512(q.row(first + i) + d) : _mm512_setzero_si512();
        squares = _mm512_dpbf16_ps(squares, (__m512bh)x, (__m512bh)x);
        _mm512_store_si512(to, x);
      }
      longest = std::max(longest, _mm512_reduce_add_ps(squares));
    }
    return longest;
  }

  // What is taken off a query's scores before the exponential. Nothing, where no score can leave
  // what f32 holds of one, as |q k| <= |q| |k|: with norms on q and k that is the rule. Elsewhere
  // the largest score, for which the products are made once more.
  void choose_shifts(const Packed& packed, float longest) {
    constexpr float kMost = 80.0F;  // 2^80 times a sum of values is still far from f32's end
    const float key =
        *std::max_element(packed.norms, packed.norms + tiles_for(packed.count, kBlock));
    if (key * longest * scale_ * scale_ > kMost * kMost) return find_largest(packed);
    std::fill_n(shifts_, kQueries, 0.0F);
  }

  void find_largest(const Packed& packed) {
    std::fill_n(shifts_, kQueries, -std::numeric_limits<float>::infinity());
    for (int64_t key = 0; key < packed.count; key += kBlock) {
      for (int64_t side = 0; side < sides_; ++side) {
        multiply(packed, key, side, scores_[0]);
        raise_shifts(side, packed.count - key);
      }
    }
  }

  void raise_shifts(int64_t side, int64_t keys) {
    const __mmask16 masks[] = {lanes(keys), lanes(std::max<int64_t>(0, keys - kTileRows))};
    const __m512 lowest = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
    const __m512 scales = _mm512_set1_ps(scale_);
    for (int64_t i = 0; i < kBlock; ++i) {
      __m512 most = lowest;
      for (int64_t j = 0; j < 2; ++j) {
        const __m512 x = _mm512_load_ps(score(scores_[0], i, j));
        most = _mm512_max_ps(_mm512_mask_mul_ps(lowest, masks[j], x, scales), most);
      }
      float& shift = shifts_[side * kBlock + i];
      shift = std::max(shift, _mm512_reduce_max_ps(most));
    }
  }

  static float* score(float* scores, int64_t query, int64_t half) {
    return scores + (query / kTileRows * 2 + half) * kTileRows * kTileRows +
           query % kTileRows * kTileRows;
  }

  // kBlock queries times kBlock keys.
  void multiply(const Packed& packed, int64_t key, int64_t side, float* scores) {
    amx::step(Step{q_ + side * kBlock * width_, kTileRows * width_, packed.keys + key * width_,
                   kTileRows * width_, width_ / kBlock, scores, /*onto=*/false});
  }

  // Probabilities of kKeys keys, times 2^-shift. The next products run beside the exponentials of
  // those before.
  void soften(const Packed& packed, int64_t key) {
    const int64_t left = packed.count - key;
    const int64_t steps = tiles_for(std::min(kKeys, left), kBlock) * sides_;
    const auto start = [&](int64_t i) {
      multiply(packed, key + i / sides_ * kBlock, i % sides_, scores_[i % 2]);
    };
    start(0);
    for (int64_t i = 0; i < steps; ++i) {
      if (i + 1 < steps) start(i + 1);
      const int64_t tile = i / sides_, side = i % sides_;
      soften_step(scores_[i % 2], side, left - tile * kBlock,
                  p_ + side * kBlock * kKeys + tile * kTileValues);
    }
  }

  void soften_step(float* scores, int64_t side, int64_t keys, BF16* to) {
    const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
    const __mmask16 first = lanes(keys), second = lanes(std::max<int64_t>(0, keys - kTileRows));
    const __m512 scales = _mm512_set1_ps(scale_);
    for (int64_t i = 0; i < kBlock; ++i) {
      const int64_t query = side * kBlock + i;
      const __m512 shift = _mm512_set1_ps(shifts_[query]);
      const auto half = [&](int64_t j, __mmask16 mask) {
        return power_of_2(_mm512_fmsub_ps(_mm512_load_ps(score(scores, i, j)), scales, shift),
                          mask);
      };
      const __m512 a = half(0, first), b = half(1, second);
      const __m512bh rounded = _mm512_cvtne2ps_pbh(b, a);
      float *sum = sums_ + query * kTileRows, *rounded_sum = rounded_sums_ + query * kTileRows;
      _mm512_store_ps(sum, _mm512_add_ps(_mm512_load_ps(sum), _mm512_add_ps(a, b)));
      _mm512_store_ps(rounded_sum, _mm512_dpbf16_ps(_mm512_load_ps(rounded_sum), rounded, ones));
      _mm512_store_si512(to + i / kTileRows * kTileRows * kKeys + i % kTileRows * kBlock,
                         (__m512i)rounded);
    }
  }

  // Probabilities times values, kBlock dimensions at a time.
  void mix(const Packed& packed, int64_t key) {
    const int64_t tiles = tiles_for(std::min(kKeys, packed.count - key), kBlock);
    const int64_t next_columns = tiles_for(packed.count, kBlock) * kTileValues;
    for (int64_t d = 0; d < width_; d += kBlock) {
      for (int64_t side = 0; side < sides_; ++side)
        amx::step(Step{p_ + side * kBlock * kKeys, kTileRows * kKeys,
                       packed.values + d / kTileRows * next_columns + key / kBlock * kTileValues,
                       next_columns, tiles, out_ + (side * width_ + d) * kBlock, /*onto=*/key > 0});
    }
  }

  void store(int64_t first, const Head& out, float* log_sum) {
    for (int64_t i = 0; i < count_; ++i) {
      const float sum = _mm512_reduce_add_ps(_mm512_load_ps(sums_ + i * kTileRows));
      const float rounded = _mm512_reduce_add_ps(_mm512_load_ps(rounded_sums_ + i * kTileRows));
      for (int64_t d = 0; d < width_; d += kTileRows) {
        float* from = score(out_ + (i / kBlock * width_ + d / kBlock * kBlock) * kBlock, i % kBlock,
                            d / kTileRows % 2);
        store_row(from, 1.0F / rounded, out.row(first + i) + d, kTileRows);
      }
      log_sum[first + i] = (shifts_[i] + std::log2(sum)) / kLog2E;
    }
  }

  int64_t width_, count_ = 0, sides_ = 0;
  float scale_;  // to the base 2
  Tensor memory_;
  BF16 *q_, *p_;
  // Of each query 16 sums of probabilities: for its log_sum, and of what v was multiplied by.
  float *sums_, *rounded_sums_;
  float *scores_[2], *out_, shifts_[kQueries];
};

#pragma GCC pop_options

}  // namespace

void amx_attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                   const Tensor& out, const Tensor& log_sum) {
  const int64_t heads = q.size(1), width = q.size(3), all = q.size(0) * heads;
  const int64_t queries = q.size(2), length = k.size(2);
  const int64_t sides = tiles_for(length, kBlock), size = sides * kBlock * width;
  const Tensor keys = at::empty({all, size}, q.options().memory_format({}));
  const Tensor values = at::empty_like(keys);
  const Tensor norms = at::empty({all, sides}, log_sum.options());
  const auto packed = [&](int64_t i) {
    return Packed{keys.data_ptr<BF16>() + i * size, values.data_ptr<BF16>() + i * size,
                  norms.data_ptr<float>() + i * sides, length};
  };
  const auto head = [&](const Tensor& t, int64_t i) { return Head(t, i / heads, i % heads); };
  at::parallel_for(0, q.size(0) * sides, 1, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const int64_t side = at % sides, s = side * kBlock;
      for (int64_t i = at / sides * heads; i < (at / sides + 1) * heads; ++i) {
        const Packed to = packed(i);
        BF16* rows = to.keys + s * width;
        const Head k_rows = head(k, i);
        to.norms[side] = std::max(pack_keys(k_rows, s, rows),
                                  pack_keys(k_rows, s + kTileRows, rows + kTileRows * width));
        const Head v_rows = head(v, i);
        pack_pairs(v_rows.row(s), v_rows.stride, length - s, width, to.values + side * kTileValues,
                   sides * kTileValues);
      }
    }
  });
  const int64_t pieces = tiles_for(queries, Attention::kQueries);
  std::atomic<int64_t> next = 0;  // threads stay at one head, whose keys are in the second cache
  at::parallel_for(0, std::min<int64_t>(all * pieces, at::get_num_threads()), 1,
                   [&](int64_t, int64_t) {
                     Attention attend(width, float(scale));
                     amx::begin();
                     for (int64_t item = next++; item < all * pieces; item = next++) {
                       const int64_t i = item / pieces;
                       attend(head(q, i), item % pieces * Attention::kQueries, packed(i),
                              head(out, i), log_sum.data_ptr<float>() + i * queries);
                     }
                     amx::end();
                   });
}

}  // namespace icedit::kernels

#else

namespace icedit::kernels {

void amx_attention(const Tensor&, const Tensor&, const Tensor&, double, const Tensor&,
                   const Tensor&) {}

}  // namespace icedit::kernels

#endif
