#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>

#include "nn/kernels/int8_product.h"
#include "nn/kernels/tiles.h"

namespace icedit::kernels {

Int8Weight packed(int64_t out, int64_t in, const Tensor& scales,
                  const std::function<void(int64_t first, int8_t* to)>& rows) {
  const int64_t blocks = tiles_for(out, kBlock) * 2, row_bytes = inner_tiles(in) * kTileBytes;
  Int8Weight w;
  w.out = out;
  w.in = in;
  w.tiles = at::zeros({blocks * row_bytes}, at::kChar);
  w.scales = at::zeros({blocks * kTileRows}, at::kFloat);
  w.sums = at::zeros({blocks * kTileRows}, at::kInt);
  auto* tiles = w.tiles.mutable_data_ptr<int8_t>();
  auto* sums = w.sums.mutable_data_ptr<int32_t>();
  at::parallel_for(0, tiles_for(out, kTileRows), 1, [&](int64_t begin, int64_t end) {
    std::vector<int8_t> some(size_t(kTileRows * in));
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kTileRows, count = std::min(kTileRows, out - first);
      rows(first, some.data());
      int8_t* to = tiles + block * row_bytes;
      for (int64_t r = 0; r < count; ++r) {
        const int8_t* row = some.data() + r * in;
        int32_t total = 0;
        for (int64_t k = 0; k < in; ++k) total += row[k];
        sums[first + r] = 128 * total;
        for (int64_t k = 0; k < in; k += 4)
          std::memcpy(
              to + k / kTileColumns * kTileBytes + k % kTileColumns / 4 * kTileColumns + r * 4,
              row + k, 4);
      }
    }
  });
  w.scales.narrow(0, 0, out).copy_(scales.reshape({-1}));
  return w;
}

Tensor unpacked(const Int8Weight& w, int64_t first, int64_t count) {
  const Tensor out = at::empty({count, w.in}, at::kFloat);
  const int64_t row_bytes = inner_tiles(w.in) * kTileBytes;
  const auto* tiles = w.tiles.const_data_ptr<int8_t>();
  const auto* scales = w.scales.const_data_ptr<float>();
  auto* to = out.mutable_data_ptr<float>();
  at::parallel_for(0, count, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = first + i;
      const int8_t* from = tiles + row / kTileRows * row_bytes + row % kTileRows * 4;
      float* here = to + i * w.in;
      for (int64_t k = 0; k < w.in; k += 4, here += 4) {
        const int8_t* four =
            from + k / kTileColumns * kTileBytes + k % kTileColumns / 4 * kTileColumns;
        for (int j = 0; j < 4; ++j) here[j] = scales[row] * static_cast<float>(four[j]);
      }
    }
  });
  return out;
}

}  // namespace icedit::kernels
