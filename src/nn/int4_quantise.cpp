#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "nn/int4_matrix.h"
#include "nn/int8_matrix.h"
#include "nn/kernels/weight_rows.h"

namespace icedit {
namespace {

// Lloyd-Max levels of a Gaussian in runs of 16, each divided by the factor that fits it best.
constexpr std::array<float, 16> kGaussian = {
    -0.98640F, -0.78762F, -0.62881F, -0.49290F, -0.37131F, -0.25945F, -0.15345F, -0.05079F,
    0.05079F,  0.15345F,  0.25945F,  0.37131F,  0.49290F,  0.62881F,  0.78762F,  0.98640F};

Tensor gaussian() {
  const Tensor levels = at::empty({std::ssize(kGaussian)}, at::kFloat);
  std::copy(kGaussian.begin(), kGaussian.end(), levels.mutable_data_ptr<float>());
  return levels;
}

const kernels::Int4Levels& int4_levels() {
  static const kernels::Int4Levels levels = [] {
    kernels::Int4Levels made{};
    made.exact = kernels::levels_of(kGaussian.data());
    const Tensor rounded = int4_value_tables(gaussian()).to(at::kFloat);
    for (int64_t bits = 0; bits < rounded.size(0); ++bits)
      made.rounded[bits] =
          kernels::levels_of(rounded.const_data_ptr<float>() + bits * rounded.size(1));
    return made;
  }();
  return levels;
}

}  // namespace

Int4Values Int4Values::empty(int64_t out, int64_t in, int64_t group) {
  return {at::empty({out, in / 2}, at::kByte), at::empty({out, in / kInt4Run}, at::kFloat8_e4m3fn),
          at::empty({out}, at::kFloat), gaussian(), group};
}

Int4Values Int4Values::rows(int64_t first, int64_t count) const {
  return {codes.narrow(0, first, count), run_scales.narrow(0, first, count),
          scales.narrow(0, first, count), levels, group};
}

void quantise_rows(const Tensor& rows, const Int4Values& to) {
  const int64_t in = rows.size(1), runs = in / kInt4Run;
  auto* codes = to.codes.mutable_data_ptr<uint8_t>();
  auto* run_scales = static_cast<uint8_t*>(to.run_scales.mutable_data_ptr());
  auto* scales = to.scales.mutable_data_ptr<float>();
  const kernels::Int4Levels& levels = int4_levels();
  each_rotated_row(rows, to.group, [&](int64_t i, const float* row) {
    scales[i] = kernels::int4_row(row, in, levels, codes + i * in / 2, run_scales + i * runs);
  });
}

Int4Values quantised_rows_in_4_bits(const Tensor& rows, int64_t group) {
  Int4Values made = Int4Values::empty(rows.size(0), rows.size(1), group);
  quantise_rows(rows, made);
  return made;
}

}  // namespace icedit
