#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "nn/kernels/int8_product.h"
#include "nn/kernels/tiles.h"
#include "nn/kernels/weight_tiles.inc"

namespace icedit::kernels {
namespace {

struct Int8Runs {
  static constexpr int64_t kBlock = kRun;
  const int8_t* values;
  int64_t in;

  void take(int64_t row, int64_t i, Sixteen* to) const {
    std::memcpy(to, values + row * in + i * kRun, sizeof *to);
  }
};

template <class T>
Tensor unpacked_to(const Int8Weight& w, int64_t first, int64_t count, int64_t group) {
  constexpr bool kRounds = !std::is_same_v<T, float>;
  const Tensor out = at::empty({count, w.in}, c10::CppTypeToScalarType<T>::value);
  const int64_t row_bytes = inner_tiles(w.in) * kTileBytes;
  const auto* tiles = w.tiles.const_data_ptr<int8_t>();
  const auto* scales = w.scales.const_data_ptr<float>();
  auto* to = out.mutable_data_ptr<T>();
  at::parallel_for(0, count, kTileRows, [&](int64_t begin, int64_t end) {
    std::vector<float> wide(kRounds ? w.in : 0);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = first + i;
      const int8_t* from = tiles + row / kTileRows * row_bytes + row % kTileRows * 4;
      if constexpr (kRounds) {
        unpack_row(from, w.in, scales[row], group, wide.data());
        round_row(wide.data(), w.in, to + i * w.in);
      } else {
        unpack_row(from, w.in, scales[row], group, to + i * w.in);
      }
    }
  });
  return out;
}

}  // namespace

Int8Weight empty_weight(int64_t out, int64_t in) {
  const int64_t blocks = tiles_for(out, kBlock) * 2;
  Int8Weight w;
  w.out = out;
  w.in = in;
  w.tiles = at::empty({blocks * inner_tiles(in) * kTileBytes}, at::kChar);
  if (in % kTileColumns != 0) w.tiles.zero_();
  w.scales = at::zeros({blocks * kTileRows}, at::kFloat);
  w.sums = at::zeros({blocks * kTileRows}, at::kInt);
  return w;
}

Int8Weight packed(const Tensor& values, const Tensor& scales) {
  const Int8Runs runs{values.const_data_ptr<int8_t>(), values.size(1)};
  return made_tiles(runs, scales.reshape({-1}), 0, values.size(0));
}

Tensor unpacked(const Int8Weight& w, int64_t first, int64_t count, int64_t group,
                at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? unpacked_to<at::BFloat16>(w, first, count, group)
                                : unpacked_to<float>(w, first, count, group).to(dtype);
}

}  // namespace icedit::kernels
