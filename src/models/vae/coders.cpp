#include "models/vae/coders.h"

#include <ATen/ATen.h>

#include "base/str.h"
#include "nn/attention.h"

namespace icedit::vae {
// B batch  C channels  H, W height and width  P = H W positions

namespace {

constexpr double kNormEps = 1e-6;

// Overwrites its argument, which nobody else may hold.
Tensor silu_in_place(Tensor fresh) {
  return at::silu_(fresh);
}

}  // namespace

ResnetBlock::ResnetBlock(const Weights& w, int64_t in, int64_t out, int64_t groups)
    : norm1(w / "norm1", groups, in, kNormEps),
      norm2(w / "norm2", groups, out, kNormEps),
      conv1(w / "conv1", in, out, 3, 1, 1),
      conv2(w / "conv2", out, out, 3, 1, 1) {
  if (in != out) shortcut.emplace(w / "conv_shortcut", in, out, 1);
}

Tensor ResnetBlock::operator()(Tensor x) const {
  Tensor h = silu_in_place(norm1(x));
  if (shortcut) x = (*shortcut)(x);  // before conv1, so that the wide x is gone by then
  h = conv1(h);
  h = silu_in_place(norm2(h));
  h = conv2(h);
  return h.add_(x);
}

SelfAttention::SelfAttention(const Weights& w, int64_t channels, int64_t groups)
    : norm(w / "group_norm", groups, channels, kNormEps),
      to_q(w / "to_q", channels, channels),
      to_k(w / "to_k", channels, channels),
      to_v(w / "to_v", channels, channels),
      to_out(w / "to_out" / 0, channels, channels) {}

Tensor SelfAttention::operator()(const Tensor& x) const {
  const Tensor rows = norm(x).flatten(2).transpose(1, 2);                     // [B, P, C]
  const auto head = [&](const Linear& to) { return to(rows).unsqueeze(1); };  // [B, 1, P, C]
  const Tensor mixed = scaled_dot_product(head(to_q), head(to_k), head(to_v)).squeeze(1);
  return x + to_out(mixed).transpose(1, 2).reshape(x.sizes());
}

MidBlock::MidBlock(const Weights& w, int64_t channels, int64_t groups, bool with_attention)
    : first(w / "resnets" / 0, channels, channels, groups),
      second(w / "resnets" / 1, channels, channels, groups) {
  if (with_attention) attention.emplace(w / "attentions" / 0, channels, groups);
}

Tensor MidBlock::operator()(Tensor x) const {
  x = first(std::move(x));
  if (attention) x = (*attention)(x);
  return second(std::move(x));
}

Downsampler::Downsampler(const Weights& w, int64_t channels)
    : conv(w / "conv", channels, channels, 3, 2) {}

Tensor Downsampler::operator()(Tensor x) const {
  x = at::constant_pad_nd(x, {0, 1, 0, 1});  // right and bottom only: so the VAE was trained
  return conv(x);
}

Upsampler::Upsampler(const Weights& w, int64_t channels)
    : conv(w / "conv", channels, channels, 3, 1, 1) {}

Tensor Upsampler::operator()(Tensor x) const {
  x = at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)});
  return conv(x);
}

template <class Resampler>
Level<Resampler>::Level(const Weights& w, const char* resampler, int64_t in, int64_t out,
                        int64_t layers, const VaeConfig& c, bool last) {
  for (int64_t i = 0; i < layers; ++i)
    resnets.emplace_back(w / "resnets" / i, i == 0 ? in : out, out, c.norm_num_groups);
  if (!last) resample.emplace(w / resampler / 0, out);
}

template <class Resampler>
Tensor Level<Resampler>::operator()(Tensor x) const {
  for (const ResnetBlock& resnet : resnets) x = resnet(std::move(x));
  return resample ? (*resample)(std::move(x)) : x;
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
    down_blocks.emplace_back(w / "down_blocks" / int64_t(i), "downsamplers", in, out,
                             c.layers_per_block, c, i + 1 == c.block_out_channels.size());
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
    up_blocks.emplace_back(w / "up_blocks" / int64_t(i), "upsamplers", in, channels[i],
                           c.layers_per_block + 1, c, i + 1 == channels.size());
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
