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

namespace icedit::kernels {
namespace {

using namespace bf16;  // NOLINT: its parts
using Step = amx::Step<BF16, BF16, float>;

constexpr int64_t kValues = kTileBytes / sizeof(BF16);  // of a tile

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
    const int64_t stride = weight.stride(0), next = tiles() * kValues;
    const BF16* from = weight.const_data_ptr<BF16>();
    if (transposed) {
      for (int64_t t = 0; t < tiles(); ++t)
        pack_pairs(from + t * kTileHalves * stride + first, stride, kTileHalves, count,
                   to + t * kValues, next);
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

void multiply(const Bf16Rows& x, const Right& right, const Tensor& bias, const Tensor& out) {
  const int64_t tiles = right.tiles(), stride = tiles * kValues, columns = right.columns();
  Blocking b;
  while (tiles_for(columns, b.columns) < 4 * at::get_num_threads() && b.columns > kBlock)
    b.columns /= 2;
  const int64_t blocks = tiles_for(columns, b.columns);
  const auto* rows = x.tiles.const_data_ptr<BF16>();
  const auto* biases = bias.defined() ? bias.const_data_ptr<BF16>() : nullptr;
  auto* to = out.mutable_data_ptr<BF16>();
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
        add_up<Bf16>(
            first, height, count, tiles, b.tiles, [&](const float* c, int64_t m, int64_t n) {
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

void product(const Bf16Rows& x, const Tensor& weight, const Tensor& bias, const Tensor& out) {
  multiply(x, {weight, /*transposed=*/false}, bias, out);
}

void product_transposed(const Bf16Rows& g, const Tensor& weight, const Tensor& out) {
  multiply(g, {weight, /*transposed=*/true}, {}, out);
}

}  // namespace icedit::kernels

#else

namespace icedit::kernels {

bool multiplies_bf16(const Tensor&) {
  return false;
}
void product(const Bf16Rows&, const Tensor&, const Tensor&, const Tensor&) {}
void product_transposed(const Bf16Rows&, const Tensor&, const Tensor&) {}

}  // namespace icedit::kernels

#endif
