// Rows of f32 to 16 levels (nn/int4_matrix.h): each run's factor by least squares, then the codes
// whose rounded values, which products see, come nearest.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "nn/int4_matrix.h"
#include "nn/int8_matrix.h"

namespace icedit {
namespace {

constexpr int kLevels = 16;
constexpr int kRefinements = 2;  // of a run's factor; a third gains less than a hundredth

// Lloyd-Max levels of a Gaussian in runs of 16, each divided by the factor that fits it best.
constexpr std::array<float, kLevels> kGaussian = {
    -0.98640F, -0.78762F, -0.62881F, -0.49290F, -0.37131F, -0.25945F, -0.15345F, -0.05079F,
    0.05079F,  0.15345F,  0.25945F,  0.37131F,  0.49290F,  0.62881F,  0.78762F,  0.98640F};

using RunOf = std::array<float, kInt4Run>;
using CodesOf = std::array<int32_t, kInt4Run>;

// The nearest of rising levels: how many middles between two of them lie below.
CodesOf nearest(const RunOf& values, const float* levels) {
  CodesOf codes{};
  for (int j = 0; j + 1 < kLevels; ++j) {
    const float middle = (levels[j] + levels[j + 1]) / 2;
    for (size_t i = 0; i < values.size(); ++i) codes[i] += values[i] > middle ? 1 : 0;
  }
  return codes;
}

// The factor of a run's levels.
float factor_of(const float* run) {
  float factor = 0;
  for (int i = 0; i < kInt4Run; ++i) factor = std::max(factor, std::abs(run[i]));
  for (int pass = 0; factor > 0 && pass < kRefinements; ++pass) {
    RunOf values;
    for (size_t i = 0; i < values.size(); ++i) values[i] = run[i] / factor;
    const CodesOf codes = nearest(values, kGaussian.data());
    float both = 0, square = 0;
    for (size_t i = 0; i < codes.size(); ++i) {
      const float level = kGaussian[size_t(codes[i])];
      both += run[i] * level;
      square += level * level;
    }
    factor = both / square;
  }
  return factor;
}

// The codes of run / row_scale among the rounded levels, two to a byte; returns the squared error.
float choose_codes(const float* run, float row_scale, const float* rounded, uint8_t* to) {
  RunOf values;
  for (size_t i = 0; i < values.size(); ++i) values[i] = run[i] / row_scale;
  const CodesOf codes = nearest(values, rounded);
  float error = 0;
  for (size_t i = 0; i < codes.size(); ++i) {
    const float off = values[i] - rounded[codes[i]];
    error += off * off;
  }
  for (size_t i = 0; i < codes.size(); i += 2) to[i / 2] = uint8_t(codes[i] | codes[i + 1] << 4);
  return error;
}

// levels [256, 16]: as rounded for each of the factors of 8 bits.
void quantise_row(const float* row, int64_t in, const float* factors, float scale,
                  const float* levels, uint8_t* codes, c10::Float8_e4m3fn* run_scales) {
  for (int64_t run = 0; run < in / kInt4Run; ++run) {
    const float* from = row + run * kInt4Run;
    uint8_t* to = codes + run * kInt4Run / 2;
    const auto wanted = c10::Float8_e4m3fn(factors[run] / scale);
    // The factor's neighbours may round to better levels.
    float best = 0;
    for (int step = -1; step <= 1; ++step) {
      const int bits = std::clamp(int(wanted.x) + step, 0, 0x7e);
      uint8_t tried[kInt4Run / 2];
      const float error = choose_codes(from, scale, levels + bits * kLevels, tried);
      if (step != -1 && error >= best) continue;
      best = error;
      run_scales[run].x = uint8_t(bits);
      std::copy(std::begin(tried), std::end(tried), to);
    }
  }
}

}  // namespace

Int4Values quantised_rows_in_4_bits(const Tensor& rows, int64_t group) {
  const int64_t out = rows.size(0), in = rows.size(1), runs = in / kInt4Run;
  Int4Values made;
  made.group = group;
  made.codes = at::empty({out, in / 2}, at::kByte);
  made.run_scales = at::empty({out, runs}, at::kFloat8_e4m3fn);
  made.scales = at::empty({out}, at::kFloat);
  made.levels = at::empty({kLevels}, at::kFloat);
  std::copy(kGaussian.begin(), kGaussian.end(), made.levels.mutable_data_ptr<float>());
  const Tensor rounded = int4_value_tables(made.levels).to(at::kFloat);
  const Tensor wide = rows.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  rotate_rows(wide, group);
  const auto *from = wide.const_data_ptr<float>(), *levels = rounded.const_data_ptr<float>();
  auto* codes = made.codes.mutable_data_ptr<uint8_t>();
  auto* run_scales = made.run_scales.mutable_data_ptr<c10::Float8_e4m3fn>();
  auto* scales = made.scales.mutable_data_ptr<float>();
  at::parallel_for(0, out, 4, [&](int64_t begin, int64_t end) {
    std::vector<float> factors(static_cast<size_t>(runs));
    for (int64_t i = begin; i < end; ++i) {
      const float* row = from + i * in;
      float most = 0;
      for (int64_t run = 0; run < runs; ++run)
        most = std::max(most, factors[size_t(run)] = factor_of(row + run * kInt4Run));
      // The largest level of the largest run is 127.
      scales[i] = std::max(most * kGaussian.back() / 127.0F, 1e-8F);
      quantise_row(row, in, factors.data(), scales[i], levels, codes + i * in / 2,
                   run_scales + i * runs);
    }
  });
  return made;
}

}  // namespace icedit
