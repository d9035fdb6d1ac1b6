#include "models/clip/config.h"

#include "base/str.h"
#include "models/config_values.h"

namespace icedit {

ClipConfig ClipConfig::from(const JsonFile& file) {
  const JsonFile config = file.has("text_config") ? file.object("text_config") : file;
  expect_kind(config, "model_type", {"clip_text_model", "clip"});
  ClipConfig c;
  c.vocab_size = positive(config, "vocab_size");
  c.hidden_size = positive(config, "hidden_size");
  c.intermediate_size = positive(config, "intermediate_size");
  c.num_hidden_layers = positive(config, "num_hidden_layers");
  c.num_attention_heads = positive(config, "num_attention_heads");
  c.max_position_embeddings = positive_or(config, "max_position_embeddings", 77);
  c.eos_token_id = config.integer_or("eos_token_id", 49407);
  c.layer_norm_eps = positive_number_or(config, "layer_norm_eps", 1e-5);
  if (c.hidden_size % c.num_attention_heads != 0) {
    throw_config_error(
        config, "hidden_size", str(c.hidden_size),
        str("a multiple of 'num_attention_heads', which is ", c.num_attention_heads));
  }
  if (c.eos_token_id < 0 || c.eos_token_id >= c.vocab_size) {
    throw_config_error(config, "eos_token_id", str(c.eos_token_id),
                       str("0 ... ", c.vocab_size - 1, " ('vocab_size' is ", c.vocab_size, ")"));
  }
  c.activation = activation_named(config.text_or("hidden_act", "quick_gelu"),
                                  str(config.where(), ": 'hidden_act'"));
  return c;
}

}  // namespace icedit
