#include "models/vae/coders.h"

#include <ATen/ATen.h>

#include "base/str.h"

namespace icedit::vae {

DownBlock::DownBlock(const Weights& w, int64_t in, int64_t out, const VaeConfig& c, bool last) {
  for (int64_t i = 0; i < c.layers_per_block; ++i) {
    resnets.emplace_back(w / "resnets" / i, i == 0 ? in : out, out, c.norm_num_groups);
  }
  if (!last) downsampler.emplace(w / "downsamplers" / 0, out);
}

Tensor DownBlock::operator()(Tensor x) const {
  for (const ResnetBlock& resnet : resnets) x = resnet(std::move(x));
  return downsampler ? (*downsampler)(std::move(x)) : x;
}

UpBlock::UpBlock(const Weights& w, int64_t in, int64_t out, const VaeConfig& c, bool last) {
  for (int64_t i = 0; i < c.layers_per_block + 1; ++i) {
    resnets.emplace_back(w / "resnets" / i, i == 0 ? in : out, out, c.norm_num_groups);
  }
  if (!last) upsampler.emplace(w / "upsamplers" / 0, out);
}

Tensor UpBlock::operator()(Tensor x) const {
  for (const ResnetBlock& resnet : resnets) x = resnet(std::move(x));
  return upsampler ? (*upsampler)(std::move(x)) : x;
}

Encoder::Encoder(const Weights& w, const VaeConfig& c)
    : conv_in(w / "conv_in", c.in_channels, c.block_out_channels.front(), 3, 1, 1),
      mid_block(w / "mid_block", c.block_out_channels.back(), c.norm_num_groups,
                c.mid_block_add_attention),
      norm_out(w / "conv_norm_out", c.norm_num_groups, c.block_out_channels.back(), kNormEps),
      conv_out(w / "conv_out", c.block_out_channels.back(), 2 * c.latent_channels, 3, 1, 1) {
  int64_t in = c.block_out_channels.front();
  for (size_t i = 0; i < c.block_out_channels.size(); ++i) {
    const int64_t out = c.block_out_channels[i];
    down_blocks.emplace_back(w / "down_blocks" / static_cast<int64_t>(i), in, out, c,
                             i + 1 == c.block_out_channels.size());
    in = out;
  }
}

Tensor Encoder::operator()(Tensor x, Trace* trace) const {
  x = conv_in(x);
  keep(trace, "encoder.conv_in", x);
  for (size_t i = 0; i < down_blocks.size(); ++i) {
    x = down_blocks[i](std::move(x));
    keep(trace, str("encoder.down_blocks.", i), x);
  }
  x = mid_block(std::move(x));
  keep(trace, "encoder.mid_block", x);
  x = silu_in_place(norm_out(x));
  return conv_out(x);
}

Decoder::Decoder(const Weights& w, const VaeConfig& c)
    : conv_in(w / "conv_in", c.latent_channels, c.block_out_channels.back(), 3, 1, 1),
      mid_block(w / "mid_block", c.block_out_channels.back(), c.norm_num_groups,
                c.mid_block_add_attention),
      norm_out(w / "conv_norm_out", c.norm_num_groups, c.block_out_channels.front(), kNormEps),
      conv_out(w / "conv_out", c.block_out_channels.front(), c.out_channels, 3, 1, 1) {
  const std::vector<int64_t> channels(c.block_out_channels.rbegin(), c.block_out_channels.rend());
  int64_t in = channels.front();
  for (size_t i = 0; i < channels.size(); ++i) {
    up_blocks.emplace_back(w / "up_blocks" / static_cast<int64_t>(i), in, channels[i], c,
                           i + 1 == channels.size());
    in = channels[i];
  }
}

Tensor Decoder::operator()(Tensor x, Trace* trace) const {
  x = conv_in(x);
  x = mid_block(std::move(x));
  keep(trace, "decoder.mid_block", x);
  for (size_t i = 0; i < up_blocks.size(); ++i) {
    x = up_blocks[i](std::move(x));
    keep(trace, str("decoder.up_blocks.", i), x);
  }
  x = silu_in_place(norm_out(x));
  return conv_out(x);
}

}  // namespace icedit::vae
