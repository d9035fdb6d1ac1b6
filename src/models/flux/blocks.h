#pragma once
// FLUX's double and single blocks. Names of parts are diffusers', names of values BFL's (img, txt,
// vec). B batch  I image tokens  T text tokens  S = T+I  C hidden  H heads  D head dim
#include <string>
#include <utility>
#include <vector>

#include "models/configs.h"
#include "models/flux/embeddings.h"
#include "models/flux/kept_tokens.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace icedit {

// One (shift, scale, gate) of an AdaLayerNormZero; each [B, 1, C].
struct Modulation {
  Tensor shift, scale, gate;
};
// A double block's: of the attention, then of the MLP.
struct DoubleModulation {
  std::vector<Modulation> txt, img;
};

// layer_norm(x) (1 + scale) + shift. x [B, *, C].
Operand modulate(const Tensor& x, const Modulation& m);

// vec -> (shift, scale, gate), once or twice (attention, then MLP).
struct AdaLayerNormZero {
  AdaLayerNormZero(const Weights& w, int64_t hidden, int64_t count);
  std::vector<Modulation> operator()(const Tensor& vec) const;  // vec [B, C]
  Linear linear;
  int64_t count;
};

struct FeedForward {
  FeedForward(const Weights& w, int64_t hidden);
  Tensor operator()(const Operand& x) const;  // [B, *, C] -> [B, *, C]
  Linear in, out;
};

struct Qkv {
  Tensor q, k, v;  // each [B, S, H, D]
};

// What q, k and v of one stream are made with.
struct QkvProjection {
  // `names`: {"to_q", "to_k", "to_v", "norm_q", "norm_k"} or the added ones of the text stream.
  QkvProjection(const Weights& w, const FluxConfig& c, const std::vector<std::string>& names);
  Linear to_q, to_k, to_v;
  RmsNorm norm_q, norm_k;
  int64_t heads;
};

// Of streams x [B, *, C], the tokens of one after those of the other: q, k, v, of which q and k are
// normalised per head and turned by their positions.
struct Stream {
  const QkvProjection& projection;
  const Operand& x;
};
Qkv joint_qkv(const std::vector<Stream>& streams, const Rope& rope);

struct JointAttention {
  JointAttention(const Weights& w, const FluxConfig& c);
  // (txt [B, T, C], img [B, I, C]) -> the same.
  std::pair<Tensor, Tensor> operator()(const Operand& txt, const Operand& img, const Rope& rope,
                                       KeptKeys* kept) const;
  QkvProjection image, text;
  Linear to_out, to_add_out;
};

struct DoubleBlock {
  DoubleBlock(const Weights& w, const FluxConfig& c);
  DoubleModulation modulation(const Tensor& vec) const;  // vec [B, C]
  // txt [B, T, C], img [B, I, C] -> (txt, img). `kept`: of tokens that are left out, or will be.
  std::pair<Tensor, Tensor> forward(Tensor txt, Tensor img, const DoubleModulation& m,
                                    const Rope& rope, KeptKeys* kept = nullptr) const;
  std::string path;
  AdaLayerNormZero norm1, norm1_context;
  JointAttention attn;
  FeedForward ff, ff_context;
};

struct SingleBlock {
  SingleBlock(const Weights& w, const FluxConfig& c);
  Modulation modulation(const Tensor& vec) const;                         // vec [B, C]
  Tensor forward(const Tensor& x, const Modulation& m, const Rope& rope,  // x [B, S, C]
                 KeptKeys* kept = nullptr) const;
  std::string path;
  AdaLayerNormZero norm;
  Linear proj_mlp;
  QkvProjection attn;
  Linear proj_out;
};

}  // namespace icedit
