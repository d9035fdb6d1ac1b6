#include "nn/kernels/int4_rows.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "nn/kernels/tiles.h"
#include "nn/kernels/weight_tiles.inc"

namespace icedit::kernels {
namespace {

constexpr int64_t kHalfRun = kRun / 2;
constexpr int64_t kQ4Block = 32, kQ4Bytes = 18;

using Codes = uint8_t __attribute__((vector_size(16)));
using Halves = uint64_t __attribute__((vector_size(16)));
using Floats = float __attribute__((vector_size(64)));
using Wide = int32_t __attribute__((vector_size(64)));

Codes load_codes(const uint8_t* from) {
  Codes codes;
  std::memcpy(&codes, from, sizeof codes);
  return codes;
}

// Values of rows, kBlock at once: take() those from run i of a row on.
struct Int4Runs {
  static constexpr int64_t kBlock = kRun;
  const uint8_t* codes;
  const uint8_t* tables;
  const int8_t* values;
  int64_t in;

  void take(int64_t row, int64_t i, Sixteen* to) const {
    uint64_t half;
    std::memcpy(&half, codes + row * (in / 2) + i * kHalfRun, sizeof half);
    const auto bytes = reinterpret_cast<Codes>(Halves{half});
    const Codes low = bytes & 15, high = bytes >> 4;
    const Codes order = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
    Codes table;
    std::memcpy(&table, values + tables[row * (in / kRun) + i] * kRun, sizeof table);
    *to = reinterpret_cast<Sixteen>(__builtin_shuffle(table, __builtin_shuffle(low, high, order)));
  }
};

struct Q4Runs {
  static constexpr int64_t kBlock = kQ4Block;
  const uint8_t* blocks;
  const float* scales;
  int64_t in;

  void take(int64_t row, int64_t i, Sixteen* to) const {
    const uint8_t* block = blocks + (row * in + i * kRun) / kQ4Block * kQ4Bytes;
    c10::Half factor;
    std::memcpy(&factor, block, sizeof factor);
    const float step = scales[row] > 0 ? float(factor) / scales[row] : 0;
    const Floats levels = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
    // Adding 1.5 * 2^23 rounds to the nearest, ties to even. What no code of the row is may wrap.
    const Floats rounded = levels * step + 12582912.0F;
    const Sixteen table = __builtin_convertvector(reinterpret_cast<Wide>(rounded), Sixteen);
    const Codes bytes = load_codes(block + sizeof factor);
    to[0] = __builtin_shuffle(table, reinterpret_cast<Sixteen>(bytes & 15));
    to[1] = __builtin_shuffle(table, reinterpret_cast<Sixteen>(bytes >> 4));
  }
};

template <class Runs>
void product_by_slabs(const Int8Rows& x, const Runs& runs, const Tensor& scales, const Tensor& bias,
                      const Tensor& out, const LowRankTerms& terms) {
  // So few that they are still in a cache, so many that x is not read too often.
  constexpr int64_t kSlabRows = 1024;
  const int64_t outputs = scales.size(0);
  Int8Weight slab = empty_weight(std::min(kSlabRows, outputs), runs.in);
  for (int64_t first = 0; first < outputs; first += kSlabRows) {
    slab.out = std::min(kSlabRows, outputs - first);
    fill_all(runs, scales, first, slab);
    product(x, slab, bias.defined() ? bias.narrow(0, first, slab.out) : bias,
            out.narrow(1, first, slab.out), from_output(terms, first));
  }
}

Int4Runs runs_of(const Int4Weight& w) {
  return {w.codes.const_data_ptr<uint8_t>(), w.tables.const_data_ptr<uint8_t>(),
          w.values.const_data_ptr<int8_t>(), 2 * w.codes.size(1)};
}
Q4Runs runs_of(const Q4Weight& w) {
  return {w.blocks.const_data_ptr<uint8_t>(), w.scales.const_data_ptr<float>(),
          w.blocks.size(1) / kQ4Bytes * kQ4Block};
}

}  // namespace

Tensor q4_scales(const Tensor& blocks) {
  const Tensor scales = at::empty({blocks.size(0)}, at::kFloat);
  auto* to = scales.mutable_data_ptr<float>();
  const auto* from = blocks.const_data_ptr<uint8_t>();
  const int64_t bytes = blocks.size(1);
  at::parallel_for(0, blocks.size(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float most = 0;
      for (const uint8_t *block = from + row * bytes, *last = block + bytes; block < last;
           block += kQ4Bytes) {
        c10::Half factor;
        std::memcpy(&factor, block, sizeof factor);
        int largest = 0;
        for (int i = 2; i < kQ4Bytes; ++i)
          largest =
              std::max({largest, std::abs((block[i] & 15) - 8), std::abs((block[i] >> 4) - 8)});
        const float magnitude = std::abs(float(factor)) * float(largest);
        most = std::isfinite(magnitude) ? std::max(most, magnitude) : magnitude;
        if (!std::isfinite(most)) break;  // so that the products are not finite either
      }
      to[row] = most / 127.0F;
    }
  });
  return scales;
}

Int8Weight tiles_of(const Int4Weight& w, int64_t first, int64_t count) {
  return made_tiles(runs_of(w), w.scales, first, count);
}
Int8Weight tiles_of(const Q4Weight& w, int64_t first, int64_t count) {
  return made_tiles(runs_of(w), w.scales, first, count);
}

void product(const Int8Rows& x, const Int4Weight& w, const Tensor& bias, const Tensor& out,
             const LowRankTerms& terms) {
  product_by_slabs(x, runs_of(w), w.scales, bias, out, terms);
}
void product(const Int8Rows& x, const Q4Weight& w, const Tensor& bias, const Tensor& out,
             const LowRankTerms& terms) {
  product_by_slabs(x, runs_of(w), w.scales, bias, out, terms);
}

}  // namespace icedit::kernels
