#include "models/t5/encoder.h"

#include <ATen/ATen.h>

#include <cmath>

#include "base/str.h"
#include "models/token_ids.h"
#include "nn/attention.h"

namespace icedit {
namespace {

// N prompts  L tokens  C d_model  H heads  D d_kv

Weights embedding_path(const Weights& w) {
  const Weights shared = w / "shared";
  return shared.has("weight") ? shared : w / "encoder" / "embed_tokens";
}

// Distances key - query [L, L] to rows of the bias table: half of the rows for each sign; of these
// the nearer half exact, the others in logarithmic steps up to max_distance. In f32 and on the CPU,
// where the borders between steps are the reference's.
Tensor relative_position_buckets(int64_t length, const T5Config& c) {
  const int64_t half = c.relative_attention_num_buckets / 2;
  const int64_t exact = half / 2;
  const double steps =
      std::log(static_cast<double>(c.relative_attention_max_distance) / static_cast<double>(exact));
  const Tensor position = at::arange(length, at::kLong);
  const Tensor offset = position.unsqueeze(0) - position.unsqueeze(1);
  const Tensor distance = offset.abs();
  const Tensor far =
      (exact + (at::log(distance.to(at::kFloat) / exact) / steps * (half - exact)).to(at::kLong))
          .clamp_max(half - 1);
  return (offset > 0).to(at::kLong) * half + at::where(distance < exact, distance, far);
}

// In f16 the residual stream is f32 (see FeedForward) while the norms' outputs are f16.
Tensor normed(const RmsNorm& norm, const Tensor& x) {
  if (x.scalar_type() == norm.weight.scalar_type()) return norm(x);
  return (at::rms_norm(x, {x.size(-1)}, {}, norm.eps).to(norm.weight.scalar_type())) * norm.weight;
}

}  // namespace

std::string t5_call_of_module(const std::string& module) {
  constexpr std::string_view kBlocks = "encoder.block.";
  return module.starts_with(kBlocks) ? module.substr(0, module.find('.', kBlocks.size())) : "";
}

bool is_t5_table(const std::string& module) {
  return module == "shared" || module == "encoder.embed_tokens";
}

T5Encoder::Attention::Attention(const Weights& w, const T5Config& c)
    : heads(c.num_heads),
      q(w / "q", c.d_model, c.num_heads * c.d_kv, /*bias=*/false),
      k(w / "k", c.d_model, c.num_heads * c.d_kv, /*bias=*/false),
      v(w / "v", c.d_model, c.num_heads * c.d_kv, /*bias=*/false),
      o(w / "o", c.num_heads * c.d_kv, c.d_model, /*bias=*/false) {}

Tensor T5Encoder::Attention::operator()(const Tensor& x, const Tensor& bias) const {
  const auto split = [&](const Tensor& y) {
    return y.unflatten(-1, {heads, -1}).transpose(1, 2);
  };  // [N, H, L, D]
  // T5 folds 1/sqrt(D) into its initial weights, so there is no scale.
  const Tensor mixed =
      scaled_dot_product(split(q(x)), split(k(x)), split(v(x)), /*scale=*/1.0, bias);
  return o(mixed.transpose(1, 2).flatten(2));
}

T5Encoder::FeedForward::FeedForward(const Weights& w, const T5Config& c)
    : activation(c.activation), wo(w / "wo", c.d_ff, c.d_model, /*bias=*/false) {
  if (c.gated) {
    wi_0.emplace(w / "wi_0", c.d_model, c.d_ff, /*bias=*/false);
    wi_1.emplace(w / "wi_1", c.d_model, c.d_ff, /*bias=*/false);
  } else {
    wi.emplace(w / "wi", c.d_model, c.d_ff, /*bias=*/false);
  }
}

Tensor T5Encoder::FeedForward::operator()(const Tensor& x) const {
  const Tensor h = wi ? activation((*wi)(x)) : activation((*wi_0)(x)) * (*wi_1)(x);
  // T5's outputs overflow f16: transformers keeps this one matrix, and so the residual stream, in
  // f32 there.
  if (h.scalar_type() == at::kHalf) return at::linear(h.to(at::kFloat), wo.weight().to(at::kFloat));
  return wo(h);
}

T5Encoder::Block::Block(const Weights& w, const T5Config& c)
    : path(w.path()),
      attention_norm(w / "layer" / 0 / "layer_norm", c.d_model, c.layer_norm_epsilon),
      feed_forward_norm(w / "layer" / 1 / "layer_norm", c.d_model, c.layer_norm_epsilon),
      attention(w / "layer" / 0 / "SelfAttention", c),
      feed_forward(w / "layer" / 1 / "DenseReluDense", c) {}

Tensor T5Encoder::Block::operator()(const Tensor& x, const Tensor& bias) const {
  const Tensor attended = x + attention(normed(attention_norm, x), bias);
  return attended + feed_forward(normed(feed_forward_norm, attended));
}

T5Encoder::T5Encoder(const Weights& w, const T5Config& config)
    : weights_(w),
      config_(config),
      device_(w.options().device),
      embedding_(embedding_path(w), config.vocab_size, config.d_model),
      bias_table_(
          (w / "encoder" / "block" / 0 / "layer" / 0 / "SelfAttention" / "relative_attention_bias")
              .tensor("weight", {config.relative_attention_num_buckets, config.num_heads})),
      final_norm_(w / "encoder" / "final_layer_norm", config.d_model, config.layer_norm_epsilon) {
  for (int64_t i = 0; i < config.num_layers; ++i)
    blocks_.emplace_back(w / "encoder" / "block" / i, config);
}

T5Encoder T5Encoder::load(const Checkpoint& checkpoint, const JsonFile& config,
                          const LoadOptions& options) {
  const Weights w(checkpoint, options);
  T5Encoder model(w, T5Config::from(config));
  // ComfyUI's files also carry the tokenizer.
  w.expect_all_used({"shared.weight", "encoder.embed_tokens.weight", "decoder.", "lm_head.weight",
                     "spiece_model"});
  return model;
}

Tensor T5Encoder::position_bias(int64_t length) const {
  const Tensor buckets = relative_position_buckets(length, config_).to(device_);
  const Tensor bias = at::embedding(bias_table_, buckets);  // [L, L, H]
  return bias.permute({2, 0, 1}).unsqueeze(0).contiguous();
}

Tensor T5Encoder::forward(const Tensor& input_ids, Trace* trace, const AroundBlock& around) const {
  const Tensor ids = checked_ids(input_ids, config_.vocab_size);  // [N, L]
  const Tensor bias = position_bias(ids.size(1));                 // [1, H, L, L]
  Tensor x = embedding_(ids);                                     // [N, L, C]
  if (x.scalar_type() == at::kHalf) x = x.to(at::kFloat);
  keep(trace, "t5.hidden.0", x);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const auto formula = [&block = blocks_[i], &bias](const Tensors& in) {
      return Tensors{block(in[0], bias)};
    };
    const BlockCall call = {blocks_[i].path, formula, {x}};
    x = (around ? around(call) : call())[0];
    if (i + 1 < blocks_.size()) keep(trace, str("t5.hidden.", i + 1), x);
  }
  return normed(final_norm_, x);
}

}  // namespace icedit
