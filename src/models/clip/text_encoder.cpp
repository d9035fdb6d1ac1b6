#include "models/clip/text_encoder.h"

#include <ATen/ATen.h>

#include <limits>

#include "base/str.h"
#include "models/token_ids.h"
#include "nn/attention.h"

namespace icedit {
namespace {

// N prompts  L tokens  C hidden_size  H heads  D head dim

// transformers 4 wrote the names below "text_model.", 5 writes them bare.
Weights text_model(const Weights& w) {
  const Weights prefixed = w / "text_model";
  return (prefixed / "embeddings" / "token_embedding").has("weight") ? prefixed : w;
}

// -inf where the key comes after the query.
Tensor causal_mask(int64_t length, const Tensor& like) {
  return at::full({length, length}, -std::numeric_limits<double>::infinity(), like.options())
      .triu(1);
}

// The position of the end of each text [N]. Configs with eos_token_id 2 come from a time when the
// id was not looked at, but the largest id taken; both take the first of several, and 0 when there
// is none.
Tensor end_positions(const Tensor& ids, int64_t eos) {
  return (eos == 2 ? ids : ids.eq(eos).to(at::kLong)).argmax(/*dim=*/-1);
}

}  // namespace

ClipTextEncoder::Attention::Attention(const Weights& w, const ClipConfig& c)
    : heads(c.num_attention_heads),
      q_proj(w / "q_proj", c.hidden_size, c.hidden_size),
      k_proj(w / "k_proj", c.hidden_size, c.hidden_size),
      v_proj(w / "v_proj", c.hidden_size, c.hidden_size),
      out_proj(w / "out_proj", c.hidden_size, c.hidden_size) {}

Tensor ClipTextEncoder::Attention::operator()(const Tensor& x, const Tensor& mask) const {
  const auto split = [&](const Tensor& y) {
    return y.unflatten(-1, {heads, -1}).transpose(1, 2);
  };  // [N, H, L, D]
  const Tensor mixed =
      scaled_dot_product(split(q_proj(x)), split(k_proj(x)), split(v_proj(x)), std::nullopt, mask);
  return out_proj(mixed.transpose(1, 2).flatten(2));
}

ClipTextEncoder::Layer::Layer(const Weights& w, const ClipConfig& c)
    : norm1(w / "layer_norm1", c.hidden_size, c.layer_norm_eps),
      norm2(w / "layer_norm2", c.hidden_size, c.layer_norm_eps),
      attention(w / "self_attn", c),
      fc1(w / "mlp" / "fc1", c.hidden_size, c.intermediate_size),
      fc2(w / "mlp" / "fc2", c.intermediate_size, c.hidden_size),
      activation(c.activation) {}

Tensor ClipTextEncoder::Layer::operator()(Tensor x, const Tensor& mask) const {
  x = x + attention(norm1(x), mask);
  return x + fc2(activation(fc1(norm2(x))));
}

ClipTextEncoder::ClipTextEncoder(const Weights& w, const ClipConfig& config)
    : config_(config),
      tokens_(text_model(w) / "embeddings" / "token_embedding", config.vocab_size,
              config.hidden_size),
      positions_((text_model(w) / "embeddings" / "position_embedding")
                     .tensor("weight", {config.max_position_embeddings, config.hidden_size})),
      final_norm_(text_model(w) / "final_layer_norm", config.hidden_size, config.layer_norm_eps) {
  const Weights layers = text_model(w) / "encoder" / "layers";
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) layers_.emplace_back(layers / i, config);
}

ClipTextEncoder ClipTextEncoder::load(const Checkpoint& checkpoint, const JsonFile& config,
                                      const LoadOptions& options) {
  const Weights w(checkpoint, options);
  ClipTextEncoder model(w, ClipConfig::from(config));
  w.expect_all_used(
      {"position_ids", "text_projection", "visual_projection", "vision_model.", "logit_scale"});
  return model;
}

ClipOutput ClipTextEncoder::forward(const Tensor& input_ids, Trace* trace) const {
  const Tensor ids =
      checked_ids(input_ids, config_.vocab_size, config_.max_position_embeddings);  // [N, L]
  Tensor x = tokens_(ids) + positions_.slice(0, 0, ids.size(1));                    // [N, L, C]
  const Tensor mask = causal_mask(ids.size(1), x);
  keep(trace, "clip.hidden.0", x);
  for (size_t i = 0; i < layers_.size(); ++i) {
    x = layers_[i](x, mask);
    keep(trace, str("clip.hidden.", i + 1), x);
  }
  x = final_norm_(x);
  const Tensor rows = at::arange(ids.size(0), at::kLong);
  return {x, x.index({rows, end_positions(ids, config_.eos_token_id)})};
}

}  // namespace icedit
