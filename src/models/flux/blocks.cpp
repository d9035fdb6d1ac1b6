#include "models/flux/blocks.h"

#include <ATen/ATen.h>

#include "nn/attention.h"
#include "nn/block.h"
#include "nn/observer.h"

namespace icedit {
namespace {

constexpr double kNormEps = 1e-6;

// Everything attends to everything, also to what was kept of tokens that are left out. -> [B, S, C]
Tensor attend(Qkv qkv, KeptKeys* kept) {
  if (kept && kept->rows.defined()) {
    kept->k = qkv.k.index_select(1, kept->rows);
    kept->v = qkv.v.index_select(1, kept->rows);
  } else if (kept) {
    qkv.k = at::cat({qkv.k, kept->k}, 1);
    qkv.v = at::cat({qkv.v, kept->v}, 1);
  }
  const auto by_head = [](const Tensor& x) { return x.transpose(1, 2); };  // [B, H, S, D]
  return by_head(scaled_dot_product(by_head(qkv.q), by_head(qkv.k), by_head(qkv.v))).flatten(2);
}

// x + gate y, in one pass.
Tensor add_gated(const Tensor& x, const Tensor& gate, const Tensor& y) {
  return at::addcmul(x, gate, y);
}

// Operator by operator: for gradients, for layers that are looked at, for any device.
Qkv joint_qkv_plain(const std::vector<Stream>& streams, const Rope& rope) {
  Tensors q, k, v;
  for (const auto& [projection, x] : streams) {
    const auto split = [&](const Tensor& y) { return y.unflatten(-1, {projection.heads, -1}); };
    q.push_back(projection.norm_q(split(projection.to_q(x))));
    k.push_back(projection.norm_k(split(projection.to_k(x))));
    v.push_back(split(projection.to_v(x)));
  }
  return {apply_rotary(at::cat(q, 1), rope), apply_rotary(at::cat(k, 1), rope), at::cat(v, 1)};
}

// The same in one pass over each product.
Qkv joint_qkv_fused(const std::vector<Stream>& streams, const Rope& rope) {
  Shape shape = streams.front().x.shape();
  shape[1] = rope.cos.size(0);
  const at::TensorOptions options(streams.front().x.scalar_type());
  const int64_t heads = streams.front().projection.heads;
  const auto empty = [&] { return at::empty(shape, options).unflatten(-1, {heads, -1}); };
  const Qkv joint = {empty(), empty(), streams.size() > 1 ? empty() : Tensor()};
  Tensor v = joint.v;
  int64_t first = 0;
  for (const auto& [projection, x] : streams) {
    const int64_t tokens = x.shape()[1];
    const auto part = [&](const Tensor& whole) { return whole.narrow(1, first, tokens); };
    const auto turn = [&](const Linear& linear, const RmsNorm& norm, const Tensor& whole) {
      kernels::normalise_and_turn(linear(x).unflatten(-1, {heads, -1}), norm.weight, norm.eps,
                                  rope.cos.narrow(0, first, tokens),
                                  rope.sin.narrow(0, first, tokens), part(whole));
    };
    turn(projection.to_q, projection.norm_q, joint.q);
    turn(projection.to_k, projection.norm_k, joint.k);
    const Tensor values = projection.to_v(x).unflatten(-1, {heads, -1});
    v.defined() ? part(v).copy_(values) : v = values;
    first += tokens;
  }
  return {joint.q, joint.k, v};
}

}  // namespace

Operand modulate(const Tensor& x, const Modulation& m) {
  return Operand::modulated_norm(x, m.shift, m.scale, kNormEps);
}

Qkv joint_qkv(const std::vector<Stream>& streams, const Rope& rope) {
  bool fused = !is_observed() && rope.cos.size(1) % kernels::kLanes == 0;
  for (const Stream& stream : streams) fused = fused && stream.x.fits_kernels();
  return fused ? joint_qkv_fused(streams, rope) : joint_qkv_plain(streams, rope);
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

Tensor FeedForward::operator()(const Operand& x) const {
  return out.once(Operand::gelu_tanh(in(x)));
}

QkvProjection::QkvProjection(const Weights& w, const FluxConfig& c,
                             const std::vector<std::string>& names)
    : to_q(w / names[0], c.hidden(), c.hidden()),
      to_k(w / names[1], c.hidden(), c.hidden()),
      to_v(w / names[2], c.hidden(), c.hidden()),
      norm_q(w / names[3], c.attention_head_dim, kNormEps),
      norm_k(w / names[4], c.attention_head_dim, kNormEps),
      heads(c.num_attention_heads) {}

JointAttention::JointAttention(const Weights& w, const FluxConfig& c)
    : image(w, c, {"to_q", "to_k", "to_v", "norm_q", "norm_k"}),
      text(w, c, {"add_q_proj", "add_k_proj", "add_v_proj", "norm_added_q", "norm_added_k"}),
      to_out(w / "to_out" / "0", c.hidden(), c.hidden()),
      to_add_out(w / "to_add_out", c.hidden(), c.hidden()) {}

std::pair<Tensor, Tensor> JointAttention::operator()(const Operand& txt, const Operand& img,
                                                     const Rope& rope, KeptKeys* kept) const {
  const int64_t text_tokens = txt.shape()[1];
  const Tensor joint = attend(joint_qkv({{text, txt}, {image, img}}, rope), kept);  // text first
  return {to_add_out.once(joint.narrow(1, 0, text_tokens)),
          to_out.once(joint.narrow(1, text_tokens, img.shape()[1]))};
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
                                               const Rope& rope, KeptKeys* kept) const {
  const auto [txt_attn, img_attn] =
      attn(modulate(txt, m.txt[0]), modulate(img, m.img[0]), rope, kept);
  img = add_gated(img, m.img[0].gate, img_attn);
  img = add_gated(img, m.img[1].gate, ff(modulate(img, m.img[1])));
  txt = add_gated(txt, m.txt[0].gate, txt_attn);
  txt = add_gated(txt, m.txt[1].gate, ff_context(modulate(txt, m.txt[1])));
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

Tensor SingleBlock::forward(const Tensor& x, const Modulation& m, const Rope& rope,
                            KeptKeys* kept) const {
  const Operand normed = modulate(x, m);
  const Tensor attended = attend(joint_qkv({{attn, normed}}, rope), kept);
  const Operand mlp = Operand::gelu_tanh(proj_mlp(normed));
  return add_gated(x, m.gate, proj_out.once(Operand::joined({attended, mlp})));
}

}  // namespace icedit
