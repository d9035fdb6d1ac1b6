#pragma once
// What the VAE's encoder and decoder are built of (diffusers: ResnetBlock2D, UNetMidBlock2D,
// Downsample2D, Upsample2D). Pictures of features are the largest tensors of an edit: they are
// passed by value and moved, so that each is freed as soon as the next one stands.
#include <optional>

#include "base/tensor.h"
#include "nn/conv.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/weights.h"

namespace icedit::vae {

inline constexpr double kNormEps = 1e-6;

Tensor silu_in_place(Tensor fresh);  // overwrites its argument, which nobody else may hold

struct ResnetBlock {
  ResnetBlock(const Weights& w, int64_t in, int64_t out, int64_t groups);
  Tensor operator()(Tensor x) const;  // [B, in, H, W] -> [B, out, H, W]

  GroupNorm norm1, norm2;
  Conv2d conv1, conv2;
  std::optional<Conv2d> shortcut;  // where in != out
};

// Every position attends to every other, with one head as wide as the channels.
struct SelfAttention {
  SelfAttention(const Weights& w, int64_t channels, int64_t groups);
  Tensor operator()(const Tensor& x) const;  // [B, C, H, W] -> the same shape

  GroupNorm norm;
  Linear to_q, to_k, to_v, to_out;
};

struct MidBlock {
  MidBlock(const Weights& w, int64_t channels, int64_t groups, bool with_attention);
  Tensor operator()(Tensor x) const;  // [B, C, H, W] -> the same shape

  ResnetBlock first;
  std::optional<SelfAttention> attention;
  ResnetBlock second;
};

struct Downsampler {
  Downsampler(const Weights& w, int64_t channels);
  Tensor operator()(Tensor x) const;  // [B, C, H, W] -> [B, C, H/2, W/2]
  Conv2d conv;
};

struct Upsampler {
  Upsampler(const Weights& w, int64_t channels);
  Tensor operator()(Tensor x) const;  // [B, C, H, W] -> [B, C, 2H, 2W]
  Conv2d conv;
};

}  // namespace icedit::vae
