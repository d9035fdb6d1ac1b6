#pragma once
// Normalisations; statistics in f32 whatever the dtype.
#include <string>

#include "base/tensor.h"
#include "nn/weights.h"

namespace icedit {

// Over the last dimension, without weights.
Tensor layer_norm(const Tensor& x, double eps);

struct LayerNorm {
  LayerNorm(const Weights& w, int64_t channels, double eps);
  Tensor operator()(const Tensor& x) const;  // [..., C]
  Tensor weight, bias;
  double eps;
};

// x / sqrt(mean(x^2) + eps) * weight.
struct RmsNorm {
  RmsNorm(const Weights& w, int64_t channels, double eps);
  Tensor operator()(const Tensor& x) const;  // [..., C]
  std::string path;
  Tensor weight;
  double eps;
};

struct GroupNorm {
  GroupNorm(const Weights& w, int64_t groups, int64_t channels, double eps);
  Tensor operator()(const Tensor& x) const;  // [B, C, H, W]
  Tensor weight, bias;
  int64_t groups;
  double eps;
};

}  // namespace icedit
