#pragma once
// The VAE's two networks, and what they are built of (diffusers: Encoder, Decoder, ResnetBlock2D,
// UNetMidBlock2D, Downsample2D, Upsample2D). Pictures of features are the largest tensors of an
// edit: they are passed by value and moved, so that each is freed as soon as the next one stands.
#include <optional>
#include <vector>

#include "base/tensor.h"
#include "models/configs.h"
#include "nn/conv.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/trace.h"
#include "nn/weights.h"

namespace icedit::vae {

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

// Some resnets, then half the height and width, or twice; the last of a network keeps them.
// [B, in, H, W] -> [B, out, H/2, W/2] or [B, out, 2H, 2W].
template <class Resampler>
struct Level {
  // `resampler`: its name.
  Level(const Weights& w, const char* resampler, int64_t in, int64_t out, int64_t layers,
        const VaeConfig& c, bool last);
  Tensor operator()(Tensor x) const;

  std::vector<ResnetBlock> resnets;
  std::optional<Resampler> resample;
};

struct Encoder {
  Encoder(const Weights& w, const VaeConfig& c);
  Tensor operator()(
      Tensor x, Trace* trace) const;  // [B, in_channels, H, W] -> [B, 2 latent_channels, H/f, W/f]

  Conv2d conv_in;
  std::vector<Level<Downsampler>> down_blocks;
  MidBlock mid_block;
  GroupNorm norm_out;
  Conv2d conv_out;
};

struct Decoder {
  Decoder(const Weights& w, const VaeConfig& c);
  Tensor operator()(
      Tensor x, Trace* trace) const;  // [B, latent_channels, h, w] -> [B, out_channels, f h, f w]

  Conv2d conv_in;
  MidBlock mid_block;
  std::vector<Level<Upsampler>> up_blocks;
  GroupNorm norm_out;
  Conv2d conv_out;
};

}  // namespace icedit::vae
