#include "nn/kernels/bf16_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

#include "nn/kernels/cpu.h"

#if defined(__x86_64__)
#include "nn/bf16_tiles.h"
#include "nn/kernels/amx.h"
#include "nn/kernels/blocks.h"
#include "nn/kernels/low_rank_steps.h"

namespace icedit::kernels {
namespace {

using namespace bf16;  // NOLINT: its parts
using Step = amx::Bf16Step;

struct Bf16 {
  ICEDIT_AMX static void step(const Step& s) { amx::step(s); }
};

// A weight as the right factor: w^T with `in` as the inner dimension, or w with `out`.
struct Right {
  const Tensor& weight;
  bool transposed;

  int64_t columns() const { return weight.size(transposed ? 1 : 0); }
  int64_t tiles() const { return weight.size(transposed ? 0 : 1) / kTileHalves; }

  // For each 16 columns from `first` on the tiles of the inner dimension.
  void pack(int64_t first, int64_t count, BF16* to) const {
    const int64_t stride = weight.stride(0), next = tiles() * kTileValues;
    const BF16* from = weight.const_data_ptr<BF16>();
    if (transposed) {
      for (int64_t t = 0; t < tiles(); ++t)
        pack_pairs(from + t * kTileHalves * stride + first, stride, kTileHalves, count,
                   to + t * kTileValues, next);
    } else {
      for (int64_t n = 0; n < count; n += kTileRows)
        pack_columns(from + (first + n) * stride, stride, kTileRows, tiles() * kTileHalves,
                     to + n / kTileRows * next);
    }
  }
};

// 32 x 32 sums, of which `rows` are there, plus 32 biases, where there are some.
ICEDIT_AVX512_BF16 void finish(const float* c, int64_t rows, const BF16* bias, BF16* out,
                               int64_t stride) {
  __m512 first = _mm512_setzero_ps(), second = first;
  if (bias != nullptr) {
    first = wide(bias);
    second = wide(bias + kLanes);
  }
  for (int64_t r = 0; r < rows; ++r) {
    const float* sums = c + (r / kTileRows * kBlock + r % kTileRows) * kTileRows;
    const __m512 a = _mm512_add_ps(_mm512_load_ps(sums), first);
    const __m512 b = _mm512_add_ps(_mm512_load_ps(sums + kTileRows * kTileRows), second);
    _mm512_storeu_si512(out + r * stride, (__m512i)_mm512_cvtne2ps_pbh(b, a));
  }
}

void multiply(const Bf16Rows& x, const Right& right, const Tensor& bias, const Tensor& out,
              const LowRankTerms& terms) {
  const int64_t tiles = right.tiles(), stride = tiles * kTileValues, columns = right.columns();
  Blocking b;
  while (tiles_for(columns, b.columns) < 4 * at::get_num_threads() && b.columns > kBlock)
    b.columns /= 2;
  const int64_t blocks = tiles_for(columns, b.columns);
  const auto* rows = x.tiles.const_data_ptr<BF16>();
  const auto* biases = bias.defined() ? bias.const_data_ptr<BF16>() : nullptr;
  auto* to = out.mutable_data_ptr<BF16>();
  const std::vector<LowRankTiles> added = tiles_of(terms);
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min<int64_t>(blocks, at::get_num_threads()), 1, [&](int64_t, int64_t) {
    const Tensor sums = at::empty({b.rows * b.columns}, at::kFloat);
    const Tensor packed = at::empty({b.columns / kTileRows * stride}, at::kBFloat16);
    auto* w = packed.mutable_data_ptr<BF16>();
    amx::begin();
    for (int64_t block = next++; block < blocks; block = next++) {
      const int64_t n0 = block * b.columns, count = std::min(b.columns, columns - n0);
      right.pack(n0, count, w);
      for (int64_t m0 = 0; m0 < x.rows; m0 += b.rows) {
        const Step first{rows + m0 / kTileRows * stride, stride, w, stride, 0,
                         sums.mutable_data_ptr<float>(), false};
        const int64_t height = std::min(b.rows, x.rows - m0);
        add_up<Bf16>(first, height, count, tiles, b.tiles, [&](float* c, int64_t m, int64_t n) {
          add_terms<Bf16>(added, m0 + m, n0 + n, c, /*onto=*/true);
          finish(c, std::min(kBlock, height - m), biases == nullptr ? nullptr : biases + n0 + n,
                 to + (m0 + m) * columns + n0 + n, columns);
        });
      }
    }
    amx::end();
  });
}

}  // namespace

bool multiplies_bf16(const Tensor& w) {
  return has_amx() && w.is_cpu() && w.scalar_type() == at::kBFloat16 && !w.requires_grad() &&
         w.dim() == 2 && w.stride(1) == 1 && w.numel() > 0 && w.size(0) % kBlock == 0 &&
         w.size(1) % kBlock == 0;
}

void product(const Bf16Rows& x, const Tensor& weight, const Tensor& bias, const Tensor& out,
             const LowRankTerms& terms) {
  multiply(x, {weight, /*transposed=*/false}, bias, out, terms);
}

void product_transposed(const Bf16Rows& g, const Tensor& weight, const Tensor& out) {
  multiply(g, {weight, /*transposed=*/true}, {}, out, {});
}

Tensor right_tiles(const Tensor& weight) {
  const Tensor rows = weight.to(at::kBFloat16).contiguous();
  const int64_t out = rows.size(0), in = rows.size(1);
  const int64_t padded = tiles_for(out, kBlock) * kBlock;
  const Tensor tiles = at::zeros({padded * in}, at::kBFloat16);
  const auto* from = rows.const_data_ptr<BF16>();
  auto* to = tiles.mutable_data_ptr<BF16>();
  for (int64_t n = 0; n < out; n += kTileRows)
    pack_columns(from + n * in, in, std::min(kTileRows, out - n), in, to + n * in);
  return tiles;
}

Tensor product_by_rows(const Bf16Rows& x, const Tensor& right_tiles) {
  const int64_t stride = x.columns * kTileRows, columns = right_tiles.size(0) / x.columns;
  const Tensor out = at::empty({x.rows, columns}, at::kFloat);
  Blocking b;
  while (tiles_for(x.rows, b.rows) < 4 * at::get_num_threads() && b.rows > kBlock) b.rows /= 2;
  const auto* rows = x.tiles.const_data_ptr<BF16>();
  const auto* w = right_tiles.const_data_ptr<BF16>();
  auto* to = out.mutable_data_ptr<float>();
  at::parallel_for(0, tiles_for(x.rows, b.rows), 1, [&](int64_t begin, int64_t end) {
    const Tensor sums = at::empty({b.rows * columns}, at::kFloat);
    amx::begin();
    for (int64_t m0 = begin * b.rows; m0 < std::min(x.rows, end * b.rows); m0 += b.rows) {
      const Step first{rows + m0 / kTileRows * stride, stride, w, stride, 0,
                       sums.mutable_data_ptr<float>(), false};
      const int64_t height = std::min(b.rows, x.rows - m0);
      add_up<Bf16>(first, height, columns, x.columns / kTileHalves, b.tiles,
                   [&](const float* c, int64_t m, int64_t n) {
                     for (int64_t r = 0; r < std::min(kBlock, height - m); ++r) {
                       const float* sum = c + (r / kTileRows * kBlock + r % kTileRows) * kTileRows;
                       float* row = to + (m0 + m + r) * columns + n;
                       std::copy_n(sum, kTileRows, row);
                       std::copy_n(sum + kTileRows * kTileRows, kTileRows, row + kTileRows);
                     }
                   });
    }
    amx::end();
  });
  return out;
}

}  // namespace icedit::kernels

#else

namespace icedit::kernels {

bool multiplies_bf16(const Tensor&) {
  return false;
}
void product(const Bf16Rows&, const Tensor&, const Tensor&, const Tensor&, const LowRankTerms&) {}
void product_transposed(const Bf16Rows&, const Tensor&, const Tensor&) {}
Tensor right_tiles(const Tensor& weight) {
  return weight;
}
Tensor product_by_rows(const Bf16Rows&, const Tensor& right_tiles) {
  return right_tiles;
}

}  // namespace icedit::kernels

#endif
