#include "models/t5/config.h"

#include "base/str.h"
#include "models/config_values.h"

namespace icedit {
namespace {

// feed_forward_proj is "relu", "gelu", ... or "gated-gelu", ...; dense_act_fn and is_gated_act,
// which transformers writes beside it, win over it there too.
void read_feed_forward(const JsonFile& config, T5Config& c) {
  const std::string gate = "gated-";
  std::string name = config.text_or("feed_forward_proj", "relu");
  c.gated = name.rfind(gate, 0) == 0;
  if (c.gated) name = name.substr(gate.size());
  if (c.gated && name == "gelu") name = "gelu_new";  // T5 v1.1 was trained with the tanh form
  c.gated = config.boolean_or("is_gated_act", c.gated);
  const bool explicit_name = config.has("dense_act_fn");
  if (explicit_name) name = config.text("dense_act_fn");
  const char* key = explicit_name ? "dense_act_fn" : "feed_forward_proj";
  c.activation = activation_named(name, str(config.where(), ": '", key, "'"));
}

}  // namespace

T5Config T5Config::from(const JsonFile& config) {
  expect_kind(config, "model_type", {"t5"});
  T5Config c;
  c.vocab_size = positive(config, "vocab_size");
  c.d_model = positive(config, "d_model");
  c.d_kv = positive(config, "d_kv");
  c.d_ff = positive(config, "d_ff");
  c.num_layers = positive(config, "num_layers");
  c.num_heads = positive(config, "num_heads");
  c.relative_attention_num_buckets = positive_or(config, "relative_attention_num_buckets", 32);
  c.relative_attention_max_distance = positive_or(config, "relative_attention_max_distance", 128);
  c.layer_norm_epsilon = positive_number_or(config, "layer_norm_epsilon", 1e-6);
  if (c.relative_attention_num_buckets < 4) {
    throw_config_error(config, "relative_attention_num_buckets",
                       str(c.relative_attention_num_buckets), "at least 4");
  }
  const int64_t exact = c.relative_attention_num_buckets / 4;
  if (c.relative_attention_max_distance <= exact) {
    throw_config_error(config, "relative_attention_max_distance",
                       str(c.relative_attention_max_distance),
                       str("more than ", exact, ", a quarter of 'relative_attention_num_buckets'"));
  }
  read_feed_forward(config, c);
  return c;
}

}  // namespace icedit
