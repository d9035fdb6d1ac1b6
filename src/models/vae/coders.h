#pragma once
// The VAE's two networks (diffusers: Encoder, Decoder).
#include <optional>
#include <vector>

#include "base/tensor.h"
#include "models/vae/blocks.h"
#include "models/vae/config.h"
#include "nn/trace.h"

namespace icedit::vae {

struct DownBlock {
  DownBlock(const Weights& w, int64_t in, int64_t out, const VaeConfig& c, bool last);
  Tensor operator()(Tensor x) const;  // [B, in, H, W] -> [B, out, H/2, W/2]; the last keeps H, W

  std::vector<ResnetBlock> resnets;
  std::optional<Downsampler> downsampler;
};

struct UpBlock {
  UpBlock(const Weights& w, int64_t in, int64_t out, const VaeConfig& c, bool last);
  Tensor operator()(Tensor x) const;  // [B, in, H, W] -> [B, out, 2H, 2W]; the last keeps H, W

  std::vector<ResnetBlock> resnets;
  std::optional<Upsampler> upsampler;
};

struct Encoder {
  Encoder(const Weights& w, const VaeConfig& c);
  Tensor operator()(
      Tensor x, Trace* trace) const;  // [B, in_channels, H, W] -> [B, 2 latent_channels, H/f, W/f]

  Conv2d conv_in;
  std::vector<DownBlock> down_blocks;
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
  std::vector<UpBlock> up_blocks;
  GroupNorm norm_out;
  Conv2d conv_out;
};

}  // namespace icedit::vae
