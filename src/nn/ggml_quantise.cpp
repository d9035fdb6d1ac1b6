#include "nn/ggml_quantise.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace icedit {
namespace {

void put_half(uint8_t* to, float value) {
  const c10::Half half = value;
  std::memcpy(to, &half, sizeof half);
}

// Ties away from zero.
void make_q8_0(const float* x, uint8_t* to) {
  float most = 0;
  for (int i = 0; i < 32; ++i) most = std::max(most, std::abs(x[i]));
  const float step = most / 127, inverse = step == 0 ? 0 : 1 / step;
  put_half(to, step);
  for (int i = 0; i < 32; ++i) to[2 + i] = uint8_t(int8_t(std::round(x[i] * inverse)));
}

// The value of the largest magnitude, with its sign, is -8.
void make_q4_0(const float* x, uint8_t* to) {
  float most = 0;
  for (int i = 0; i < 32; ++i)
    if (std::abs(x[i]) > std::abs(most)) most = x[i];
  const float step = most / -8, inverse = step == 0 ? 0 : 1 / step;
  put_half(to, step);
  const auto code = [&](float value) {
    return uint8_t(std::clamp(std::trunc(value * inverse + 8.5F), 0.0F, 15.0F));
  };
  for (int i = 0; i < 16; ++i) to[2 + i] = uint8_t(code(x[i]) | code(x[i + 16]) << 4);
}

constexpr int kGroup = 32, kGroups = 8, kMostCode = 15, kMostFactor = 63;

// A group is about scale * code - minimum; both are at least 0.
struct Line {
  float scale = 0, minimum = 0;
};

// Half a group.
using Half = float __attribute__((vector_size(64)));
constexpr int kHalf = 16;

struct Group {
  Half x[2], weights[2];  // values of larger magnitude count more
};
struct GroupCodes {
  Half codes[2];
};

float sum(const Half& v) {
  float total = 0;
  for (int i = 0; i < kHalf; ++i) total += v[i];
  return total;
}

// Whole numbers from 0 to 15, the nearest, ties to even.
GroupCodes codes_on(const Group& g, const Line& line) {
  constexpr float kShift = 8388608;  // 2^23
  GroupCodes made{};
  if (line.scale <= 0) return made;
  for (int i = 0; i < 2; ++i) {
    Half t = (g.x[i] + line.minimum) * (1 / line.scale);
    t = t < 0 ? Half{} : t;
    t = t > kMostCode ? Half{} + kMostCode : t;
    made.codes[i] = t + kShift - kShift;
  }
  return made;
}

// The line that fits the codes best.
Line fitted(const Group& g, const GroupCodes& made) {
  Half ws{}, wcs{}, wccs{}, wxs{}, wcxs{};
  for (int i = 0; i < 2; ++i) {
    const Half w = g.weights[i], c = made.codes[i], wc = w * c;
    ws += w;
    wcs += wc;
    wccs += wc * c;
    wxs += w * g.x[i];
    wcxs += wc * g.x[i];
  }
  const float w = sum(ws), wc = sum(wcs), wcc = sum(wccs), wx = sum(wxs), wcx = sum(wcxs);
  const float determinant = w * wcc - wc * wc;
  if (determinant <= 0) return {};
  const Line line{(w * wcx - wc * wx) / determinant, (wc * wcx - wcc * wx) / determinant};
  return line.minimum < 0 ? Line{wcx / wcc, 0} : line;
}

float error_of_line(const Group& g, const Line& line) {
  const GroupCodes made = codes_on(g, line);
  Half error{};
  for (int i = 0; i < 2; ++i) {
    const Half off = made.codes[i] * line.scale - line.minimum - g.x[i];
    error += g.weights[i] * off * off;
  }
  return sum(error);
}

Group group_of(const float* x) {
  Group g;
  std::memcpy(g.x, x, sizeof g.x);
  const float mean = std::sqrt(sum(g.x[0] * g.x[0] + g.x[1] * g.x[1]) / kGroup);
  for (int i = 0; i < 2; ++i) g.weights[i] = (g.x[i] < 0 ? -g.x[i] : g.x[i]) + mean;
  return g;
}

// Of lines through the group's range, somewhat wider and narrower, each refitted to its codes.
Line best_line(const float* x, const Group& g) {
  constexpr int kTries = 21;
  const float least = std::min(*std::min_element(x, x + kGroup), 0.0F);
  const float range = *std::max_element(x, x + kGroup) - least;
  if (range <= 0) return {0, -least};
  Line best{range / kMostCode, -least};
  float best_error = error_of_line(g, best);
  for (int i = 0; i < kTries; ++i) {
    const Line tried{range / (float(kMostCode) - 1 + 0.1F * float(i)), -least};
    const Line line = fitted(g, codes_on(g, tried));
    if (line.scale <= 0) continue;
    const float error = error_of_line(g, line);
    if (error >= best_error) continue;
    best_error = error;
    best = line;
  }
  return best;
}

int factor_code(float value, float step) {
  return step > 0 ? int(std::clamp(std::nearbyint(value / step), 0.0F, float(kMostFactor))) : 0;
}

// 6 bits each of eight scales and minima in 12 bytes; nn/ggml.cpp reads them.
void put_factors(uint8_t* to, const int* scales, const int* minima) {
  for (int i = 0; i < 4; ++i) {
    to[i] = uint8_t(scales[i] | scales[i + 4] >> 4 << 6);
    to[i + 4] = uint8_t(minima[i] | minima[i + 4] >> 4 << 6);
    to[i + 8] = uint8_t((scales[i + 4] & 15) | (minima[i + 4] & 15) << 4);
  }
}

void make_q4_k(const float* x, uint8_t* to) {
  Group groups[kGroups];
  Line lines[kGroups];
  float scale = 0, minimum = 0;
  for (int g = 0; g < kGroups; ++g) {
    groups[g] = group_of(x + g * kGroup);
    lines[g] = best_line(x + g * kGroup, groups[g]);
    scale = std::max(scale, lines[g].scale);
    minimum = std::max(minimum, lines[g].minimum);
  }
  const auto scale_step = float(c10::Half(scale / kMostFactor));
  const auto minimum_step = float(c10::Half(minimum / kMostFactor));
  put_half(to, scale_step);
  put_half(to + 2, minimum_step);
  int scales[kGroups], minima[kGroups];
  for (int g = 0; g < kGroups; ++g) {
    scales[g] = factor_code(lines[g].scale, scale_step);
    minima[g] = factor_code(lines[g].minimum, minimum_step);
    const GroupCodes made =
        codes_on(groups[g], {scale_step * float(scales[g]), minimum_step * float(minima[g])});
    // Two groups share bytes, the first in their low bits.
    uint8_t* bytes = to + 16 + g / 2 * kGroup;
    for (int i = 0; i < kGroup; ++i) {
      const auto code = uint8_t(made.codes[i / kHalf][i % kHalf]);
      bytes[i] = g % 2 == 0 ? code : uint8_t(bytes[i] | code << 4);
    }
  }
  put_factors(to + 4, scales, minima);
}

using MakeBlock = void (*)(const float*, uint8_t*);
MakeBlock maker_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kQ8_0:
      return make_q8_0;
    case Dtype::kQ4_0:
      return make_q4_0;
    case Dtype::kQ4_K:
      return make_q4_k;
    default:
      throw CheckpointError(str("blocks of type ", dtype_name(dtype), " are not written"));
  }
}

}  // namespace

Tensor blocks_of(const Tensor& rows, Dtype dtype) {
  const MakeBlock make = maker_of(dtype);
  const int64_t size = dtype_block(dtype), bytes = int64_t(dtype_size(dtype));
  const Tensor from = rows.to(at::kFloat).contiguous();
  const Tensor made = at::empty({rows.size(0), rows.size(1) / size * bytes}, at::kByte);
  const auto* x = from.const_data_ptr<float>();
  auto* to = made.mutable_data_ptr<uint8_t>();
  at::parallel_for(0, rows.numel() / size, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) make(x + i * size, to + i * bytes);
  });
  return made;
}

}  // namespace icedit
