#include "models/flux/blocks.h"

#include <ATen/ATen.h>

#include "nn/attention.h"

namespace icedit {
namespace {

constexpr double kNormEps = 1e-6;

Tensor gelu_tanh(const Tensor& x) {
  return at::gelu(x, "tanh");
}

// q, k [B, S, H, D] are turned, then everything attends to everything. -> [B, S, C]
Tensor attend(const Qkv& qkv, const Rope& rope) {
  const Tensor q = apply_rotary(qkv.q, rope).transpose(1, 2);  // [B, H, S, D]
  const Tensor k = apply_rotary(qkv.k, rope).transpose(1, 2);
  return scaled_dot_product(q, k, qkv.v.transpose(1, 2)).transpose(1, 2).flatten(2);
}

Qkv concat(const Qkv& a, const Qkv& b) {
  return {at::cat({a.q, b.q}, 1), at::cat({a.k, b.k}, 1), at::cat({a.v, b.v}, 1)};
}

}  // namespace

Tensor modulate(const Tensor& x, const Modulation& m) {
  return layer_norm(x, kNormEps) * (1 + m.scale) + m.shift;
}

AdaLayerNormZero::AdaLayerNormZero(const Weights& w, int64_t hidden, int64_t count)
    : linear(w / "linear", hidden, 3 * count * hidden), count(count) {}

std::vector<Modulation> AdaLayerNormZero::operator()(const Tensor& vec) const {
  const auto parts = linear(at::silu(vec)).unsqueeze(1).chunk(3 * count, -1);
  std::vector<Modulation> modulations;
  for (int64_t i = 0; i < count; ++i) {
    modulations.push_back({parts[3 * i], parts[3 * i + 1], parts[3 * i + 2]});
  }
  return modulations;
}

FeedForward::FeedForward(const Weights& w, int64_t hidden)
    : in(w / "net" / "0" / "proj", hidden, 4 * hidden), out(w / "net" / "2", 4 * hidden, hidden) {}

Tensor FeedForward::operator()(const Tensor& x) const {
  return out(gelu_tanh(in(x)));
}

QkvProjection::QkvProjection(const Weights& w, const FluxConfig& c,
                             const std::vector<std::string>& names)
    : to_q(w / names[0], c.hidden(), c.hidden()),
      to_k(w / names[1], c.hidden(), c.hidden()),
      to_v(w / names[2], c.hidden(), c.hidden()),
      norm_q(w / names[3], c.attention_head_dim, kNormEps),
      norm_k(w / names[4], c.attention_head_dim, kNormEps),
      heads(c.num_attention_heads) {}

Qkv QkvProjection::operator()(const Tensor& x) const {
  const auto split = [&](const Tensor& y) { return y.unflatten(-1, {heads, -1}); };
  return {norm_q(split(to_q(x))), norm_k(split(to_k(x))), split(to_v(x))};
}

JointAttention::JointAttention(const Weights& w, const FluxConfig& c)
    : image(w, c, {"to_q", "to_k", "to_v", "norm_q", "norm_k"}),
      text(w, c, {"add_q_proj", "add_k_proj", "add_v_proj", "norm_added_q", "norm_added_k"}),
      to_out(w / "to_out" / "0", c.hidden(), c.hidden()),
      to_add_out(w / "to_add_out", c.hidden(), c.hidden()) {}

std::pair<Tensor, Tensor> JointAttention::operator()(const Tensor& txt, const Tensor& img,
                                                     const Rope& rope) const {
  const int64_t text_tokens = txt.size(1);
  const Tensor joint = attend(concat(text(txt), image(img)), rope);  // [B, S, C], text first
  return {to_add_out(joint.narrow(1, 0, text_tokens)),
          to_out(joint.narrow(1, text_tokens, img.size(1)))};
}

DoubleBlock::DoubleBlock(const Weights& w, const FluxConfig& c)
    : path(w.path()),
      norm1(w / "norm1", c.hidden(), 2),
      norm1_context(w / "norm1_context", c.hidden(), 2),
      attn(w / "attn", c),
      ff(w / "ff", c.hidden()),
      ff_context(w / "ff_context", c.hidden()) {}

DoubleModulation DoubleBlock::modulation(const Tensor& vec) const {
  const auto img = norm1(vec);
  return {norm1_context(vec), img};
}

std::pair<Tensor, Tensor> DoubleBlock::forward(Tensor txt, Tensor img, const DoubleModulation& m,
                                               const Rope& rope) const {
  const auto [txt_attn, img_attn] = attn(modulate(txt, m.txt[0]), modulate(img, m.img[0]), rope);
  img = img + m.img[0].gate * img_attn;
  img = img + m.img[1].gate * ff(modulate(img, m.img[1]));
  txt = txt + m.txt[0].gate * txt_attn;
  txt = txt + m.txt[1].gate * ff_context(modulate(txt, m.txt[1]));
  return {txt, img};
}

SingleBlock::SingleBlock(const Weights& w, const FluxConfig& c)
    : path(w.path()),
      norm(w / "norm", c.hidden(), 1),
      proj_mlp(w / "proj_mlp", c.hidden(), 4 * c.hidden()),
      attn(w / "attn", c, {"to_q", "to_k", "to_v", "norm_q", "norm_k"}),
      proj_out(w / "proj_out", 5 * c.hidden(), c.hidden()) {}

Modulation SingleBlock::modulation(const Tensor& vec) const {
  return norm(vec).front();
}

Tensor SingleBlock::forward(const Tensor& x, const Modulation& m, const Rope& rope) const {
  const Tensor normed = modulate(x, m);
  const Tensor attended = attend(attn(normed), rope);
  return x + m.gate * proj_out(at::cat({attended, gelu_tanh(proj_mlp(normed))}, 2));
}

}  // namespace icedit
