#include "nn/kernels/int8_product.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>

#include "nn/kernels/tiles.h"

#if defined(__x86_64__)
#include "nn/kernels/amx.h"
#include "nn/kernels/blocks.h"
#include "nn/kernels/cpu.h"
#include "nn/kernels/int8_steps.inc"
#include "nn/kernels/low_rank_steps.h"
#endif

namespace icedit::kernels {
namespace {

// Rows `from` on, [count, columns], without their scales.
Tensor rows_in_f32(const Int8Rows& x, int64_t from, int64_t count) {
  const int64_t row_bytes = inner_tiles(x.columns) * kTileBytes;
  const auto* tiles = x.tiles.const_data_ptr<uint8_t>();
  const Tensor values = at::empty({count, x.columns}, at::kFloat);
  auto* to = values.mutable_data_ptr<float>();
  at::parallel_for(0, count, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t row = from + r;
      const uint8_t* tile = tiles + row / kTileRows * row_bytes + row % kTileRows * kTileColumns;
      for (int64_t k = 0; k < x.columns; k += kTileColumns, tile += kTileBytes) {
        const int64_t width = std::min(kTileColumns, x.columns - k);
        for (int64_t i = 0; i < width; ++i)
          to[r * x.columns + k + i] = static_cast<float>(tile[i] - 128);
      }
    }
  });
  return values;
}

// In f32: for CPUs without 8-bit products. Sums above 2^24 are rounded in their last bits.
void product_in_f32(const Int8Rows& x, const Int8Weight& w, const Tensor& bias, const Tensor& out,
                    const LowRankTerms& terms) {
  TORCH_INTERNAL_ASSERT(terms.empty());  // adds_low_rank is false
  constexpr int64_t kMostOfX = int64_t{16} << 20, kMostOfW = int64_t{4} << 20;  // values at once
  const int64_t rows_at_once = std::max<int64_t>(kBlock, kMostOfX / x.columns);
  // Whole parts of the slabs that rows of 4 bits come in (int4_rows.cpp): the same bits for both.
  int64_t outputs = 1024;
  while (outputs > kBlock && outputs * x.columns > kMostOfW) outputs /= 2;
  for (int64_t m = 0; m < x.rows; m += rows_at_once) {
    const int64_t height = std::min(rows_at_once, x.rows - m);
    const Tensor values = rows_in_f32(x, m, height);
    const Tensor scales = x.scales.narrow(0, m, height).unsqueeze(1);
    for (int64_t n = 0; n < w.out; n += outputs) {
      const int64_t count = std::min(outputs, w.out - n);
      const Tensor rows = unpacked(w, n, count, /*group=*/0, at::kFloat);
      Tensor y = at::mm(values, rows.t()).mul_(scales);
      if (bias.defined()) y.add_(bias.narrow(0, n, count));
      out.narrow(0, m, height).narrow(1, n, count).copy_(y);
    }
  }
}

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
namespace avx512 {
#define ICEDIT_LANES_AVX512
#include "nn/kernels/lanes.inc"

// Of 32 x 32 sums: those that are there, scaled, into `out`, whose rows lie `stride` apart. term:
// what is added to each, laid out as the sums, or nullptr.
template <class T>
void finish(const int32_t* c, int64_t rows, int64_t outputs, const float* x_scales,
            const float* w_scales, const int32_t* w_sums, const float* bias, const float* term,
            T* out, int64_t stride) {
  Lanes scales[2], added[2] = {};  // of the two tiles side by side; padded, so all are there
  Ints sums[2];
  std::memcpy(&scales, w_scales, sizeof scales);
  std::memcpy(&sums, w_sums, sizeof sums);
  if (bias != nullptr) std::memcpy(&added, bias, sizeof added);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t row = (r / kTileRows * kBlock + r % kTileRows) * kTileRows;
#pragma GCC unroll 2
    for (int64_t j = 0; j < 2; ++j) {
      const int64_t place = row + j * kTileRows * kTileRows;
      Ints values;
      std::memcpy(&values, c + place, sizeof values);
      Lanes y =
          __builtin_convertvector(values - sums[j], Lanes) * x_scales[r] * scales[j] + added[j];
      if (term != nullptr) y = y + load(term + place);
      T* to = out + r * stride + j * kLanes;
      const int64_t width = outputs - j * kLanes;
      if (width >= kLanes) {
        store(to, y);
      } else if (width > 0) {
        T some[kLanes];
        store(some, y);
        std::copy_n(some, width, to);
      }
    }
  }
}
}  // namespace avx512
#pragma GCC pop_options

Blocking blocking_for(int64_t rows, int64_t outputs) {
  Blocking b;
  const auto items = [&] { return tiles_for(rows, b.rows) * tiles_for(outputs, b.columns); };
  while (items() < 4 * at::get_num_threads() && (b.rows > kBlock || b.columns > kBlock))
    (b.columns > b.rows ? b.columns : b.rows) /= 2;
  return b;
}

template <class Kernel, class T>
void blocked_product(const Int8Rows& x, const Int8Weight& w, const Tensor& bias, const Tensor& out,
                     const LowRankTerms& terms) {
  const int64_t tiles = inner_tiles(x.columns), row_bytes = tiles * kTileBytes;
  const auto* x_tiles = x.tiles.const_data_ptr<uint8_t>();
  const auto* w_tiles = w.tiles.const_data_ptr<int8_t>();
  const auto* x_scales = x.scales.const_data_ptr<float>();
  const auto* w_scales = w.scales.const_data_ptr<float>();
  const auto* w_sums = w.sums.const_data_ptr<int32_t>();
  Tensor padded;
  if (bias.defined()) {
    padded = at::zeros_like(w.scales);
    padded.narrow(0, 0, w.out).copy_(bias);
  }
  const float* biases = bias.defined() ? padded.const_data_ptr<float>() : nullptr;
  T* to = out.mutable_data_ptr<T>();
  const int64_t stride = out.stride(0);
  const std::vector<LowRankTiles> added = tiles_of(terms);
  const Blocking b = blocking_for(x.rows, w.out);
  const int64_t across = tiles_for(w.out, b.columns);
  const int64_t items = tiles_for(x.rows, b.rows) * across;
  std::atomic<int64_t> next = 0;  // nobody waits for a thread that was held up
  at::parallel_for(0, std::min<int64_t>(items, at::get_num_threads()), 1, [&](int64_t, int64_t) {
    const Tensor memory = at::empty({b.rows * b.columns}, at::kInt);
    auto* sums = memory.mutable_data_ptr<int32_t>();
    alignas(64) float term[kBlock * kBlock];
    Kernel::begin();
    for (int64_t item = next++; item < items; item = next++) {
      const int64_t m0 = item / across * b.rows, n0 = item % across * b.columns;
      const int64_t height = std::min(b.rows, x.rows - m0);
      const int64_t width = std::min(b.columns, w.out - n0);
      const Step first{x_tiles + m0 / kTileRows * row_bytes,
                       row_bytes,
                       w_tiles + n0 / kTileRows * row_bytes,
                       row_bytes,
                       0,
                       sums,
                       false};
      add_up<Kernel>(
          first, height, width, tiles, b.tiles, [&](const int32_t* c, int64_t m, int64_t n) {
            add_terms<Kernel>(added, m0 + m, n0 + n, term, /*onto=*/false);
            avx512::finish(c, std::min(kBlock, height - m), std::min(kBlock, width - n),
                           x_scales + m0 + m, w_scales + n0 + n, w_sums + n0 + n,
                           biases == nullptr ? nullptr : biases + n0 + n,
                           added.empty() ? nullptr : term, to + (m0 + m) * stride + n0 + n, stride);
          });
    }
    Kernel::end();
  });
}

template <class Kernel>
void product_by(const Int8Rows& x, const Int8Weight& w, const Tensor& bias, const Tensor& out,
                const LowRankTerms& terms) {
  out.scalar_type() == at::kBFloat16 ? blocked_product<Kernel, at::BFloat16>(x, w, bias, out, terms)
                                     : blocked_product<Kernel, float>(x, w, bias, out, terms);
}

#endif

std::vector<Int8Kernel> available_kernels() {
  std::vector<Int8Kernel> kernels;
#if defined(__x86_64__)
  if (Amx::available()) kernels.push_back({"amx", true, product_by<Amx>});
  if (Vnni::available()) kernels.push_back({"vnni", has_avx512_bf16(), product_by<Vnni>});
#endif
  kernels.push_back({"f32", false, product_in_f32});
  return kernels;
}

// Seconds of a product that takes some milliseconds, the best of three.
double race(const Int8Kernel& kernel) {
  constexpr int64_t kRows = 256, kIn = 1024, kOut = 1024;
  const Tensor ones = at::ones({1, kRows, kIn}, at::kFloat);
  const Int8Rows x = quantised({{ones, Made::kNothing, {}, {}, 0}}, 0);
  const Int8Weight w = packed(at::ones({kOut, kIn}, at::kChar), at::ones({kOut}));
  const Tensor out = at::empty({kRows, kOut}, at::kBFloat16);
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 3; ++i) {
    const auto start = std::chrono::steady_clock::now();
    kernel.product(x, w, {}, out, {});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  return best;
}

}  // namespace

const std::vector<Int8Kernel>& int8_kernels() {
  static const std::vector<Int8Kernel> kernels = [] {
    std::vector<std::pair<double, Int8Kernel>> raced;
    for (Int8Kernel& kernel : available_kernels()) raced.emplace_back(race(kernel), kernel);
    std::stable_sort(raced.begin(), raced.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<Int8Kernel> sorted;
    for (auto& [seconds, kernel] : raced) sorted.push_back(std::move(kernel));
    return sorted;
  }();
  return kernels;
}

void product(const Int8Rows& x, const Int8Weight& w, const Tensor& bias, const Tensor& out,
             const LowRankTerms& terms) {
  int8_kernels().front().product(x, w, bias, out, terms);
}

bool adds_low_rank() {
  return int8_kernels().front().adds_low_rank;
}

}  // namespace icedit::kernels
