#include "models/vae/blocks.h"

#include <ATen/ATen.h>

#include "nn/attention.h"

namespace icedit::vae {

// B batch  C channels  H, W height and width  P = H W positions

Tensor silu_in_place(Tensor fresh) {
  return at::silu_(fresh);
}

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

}  // namespace icedit::vae
