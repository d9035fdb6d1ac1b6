#pragma once
#include "base/tensor.h"
#include "nn/weights.h"

namespace icedit {

// Weights with channels last make every picture of features so too: oneDNN then needs no copies in
// a layout of its own (a third of the VAE's memory).
struct Conv2d {
  // Loads "weight" [out, in, kernel, kernel] and "bias" [out].
  Conv2d(const Weights& w, int64_t in, int64_t out, int64_t kernel, int64_t stride = 1,
         int64_t padding = 0);
  Tensor operator()(const Tensor& x) const;  // [B, in, H, W] -> [B, out, H', W']
  Tensor weight, bias;
  int64_t stride, padding;
};

}  // namespace icedit
