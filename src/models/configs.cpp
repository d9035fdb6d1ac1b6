#include "models/configs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace icedit {
namespace {

[[noreturn]] void throw_config_error(const JsonFile& config, const std::string& key,
                                     const std::string& value, const std::string& expected) {
  throw CheckpointError(str(config.where(), ": '", key, "' is ", value, ", expected ", expected));
}

// Unless the text under `key`, where there is one, is among `known`: the file is another model's.
void expect_kind(const JsonFile& config, const std::string& key,
                 const std::vector<std::string>& known) {
  const std::string kind = config.text_or(key, known.front());
  if (std::find(known.begin(), known.end(), kind) != known.end()) return;
  throw_config_error(config, key, kind, known.front() + ": this is another kind of model");
}

// From 1 to `most`; `fallback` where there is none.
int64_t up_to(const JsonFile& config, const std::string& key, int64_t fallback, int64_t most) {
  const int64_t value = config.integer_or(key, fallback);
  if (value < 1 || value > most) throw_config_error(config, key, str(value), str("1 to ", most));
  return value;
}

int64_t positive(const JsonFile& config, const std::string& key) {
  constexpr int64_t kMost = int64_t{1} << 24;
  const int64_t value = config.integer(key);
  if (value < 1 || value > kMost) throw_config_error(config, key, str(value), str("1 ... ", kMost));
  return value;
}

int64_t positive_or(const JsonFile& config, const std::string& key, int64_t fallback) {
  return config.has(key) ? positive(config, key) : fallback;
}

double positive_number_or(const JsonFile& config, const std::string& key, double fallback) {
  const double value = config.number_or(key, fallback);
  if (!(value > 0) || !std::isfinite(value))
    throw_config_error(config, key, str(value), "a number above 0");
  return value;
}

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

void expect_block_types(const JsonFile& config, const std::string& key, const std::string& type,
                        size_t blocks) {
  if (!config.has(key)) return;
  const std::vector<std::string> types = config.texts(key);
  const auto other =
      std::find_if(types.begin(), types.end(), [&](const auto& t) { return t != type; });
  if (other != types.end())
    throw_config_error(config, key, str("[... '", *other, "' ...]"), str(type, " only"));
  if (types.size() != blocks) {
    throw_config_error(config, key, str("a list of ", types.size()),
                       str("one for each of the ", blocks, " entries of 'block_out_channels'"));
  }
}

std::vector<int64_t> block_channels(const JsonFile& config, int64_t groups) {
  constexpr size_t kMostBlocks = 16;  // a factor of 32768 between pixels and latents
  const std::vector<int64_t> channels = config.integers("block_out_channels");
  if (channels.empty() || channels.size() > kMostBlocks) {
    throw_config_error(config, "block_out_channels", str("a list of ", channels.size()),
                       str("1 ... ", kMostBlocks, " entries"));
  }
  for (const int64_t c : channels) {
    if (c < 1 || c > (int64_t{1} << 24) || c % groups != 0) {
      throw_config_error(config, "block_out_channels", str(channels),
                         str("multiples of 'norm_num_groups', which is ", groups));
    }
  }
  return channels;
}

}  // namespace

FluxConfig FluxConfig::from(const JsonFile& json) {
  expect_kind(json, "_class_name", {"FluxTransformer2DModel"});
  FluxConfig c;
  c.in_channels = up_to(json, "in_channels", 64, 1 << 16);
  c.out_channels = up_to(json, "out_channels", c.in_channels, 1 << 16);
  c.num_layers = json.integer_or("num_layers", c.num_layers);
  c.num_single_layers = json.integer_or("num_single_layers", c.num_single_layers);
  c.num_attention_heads = up_to(json, "num_attention_heads", c.num_attention_heads, 1 << 12);
  c.attention_head_dim = up_to(json, "attention_head_dim", c.attention_head_dim, 1 << 12);
  c.joint_attention_dim = up_to(json, "joint_attention_dim", c.joint_attention_dim, 1 << 20);
  c.pooled_projection_dim = up_to(json, "pooled_projection_dim", c.pooled_projection_dim, 1 << 20);
  c.guidance_embeds = json.boolean_or("guidance_embeds", false);
  if (json.has("axes_dims_rope")) c.axes_dims_rope = json.integers("axes_dims_rope");
  if (json.integer_or("patch_size", 1) != 1) {
    throw CheckpointError(str(json.where(), ": 'patch_size' is ", json.integer("patch_size"),
                              ", only 1 is known for FLUX"));
  }
  for (const int64_t layers : {c.num_layers, c.num_single_layers}) {
    if (layers < 0 || layers > 1000) {
      throw CheckpointError(str(json.where(), ": ", layers, " layers; expected 0 to 1000"));
    }
  }
  const int64_t rope =
      std::accumulate(c.axes_dims_rope.begin(), c.axes_dims_rope.end(), int64_t{0});
  bool even = c.axes_dims_rope.size() == 3;
  for (const int64_t axis : c.axes_dims_rope) even = even && axis > 0 && axis % 2 == 0;
  if (!even || rope != c.attention_head_dim) {
    throw CheckpointError(str(json.where(), ": 'axes_dims_rope' is ", c.axes_dims_rope,
                              ", expected three even sizes whose sum is attention_head_dim ",
                              c.attention_head_dim));
  }
  return c;
}

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

VaeConfig VaeConfig::from(const JsonFile& config) {
  expect_kind(config, "_class_name", {"AutoencoderKL"});
  VaeConfig c;
  c.in_channels = positive_or(config, "in_channels", 3);
  c.out_channels = positive_or(config, "out_channels", 3);
  c.latent_channels = positive_or(config, "latent_channels", 4);
  c.layers_per_block = positive_or(config, "layers_per_block", 1);
  c.norm_num_groups = positive_or(config, "norm_num_groups", 32);
  c.block_out_channels = block_channels(config, c.norm_num_groups);
  c.scaling_factor = positive_number_or(config, "scaling_factor", 0.18215);
  c.shift_factor = config.number_or("shift_factor", 0.0);
  c.use_quant_conv = config.boolean_or("use_quant_conv", true);
  c.use_post_quant_conv = config.boolean_or("use_post_quant_conv", true);
  c.mid_block_add_attention = config.boolean_or("mid_block_add_attention", true);
  if (!std::isfinite(c.shift_factor))
    throw_config_error(config, "shift_factor", str(c.shift_factor), "a number");
  const std::string act = config.text_or("act_fn", "silu");
  if (act != "silu" && act != "swish")
    throw_config_error(config, "act_fn", str("'", act, "'"), "'silu'");
  expect_block_types(config, "down_block_types", "DownEncoderBlock2D", c.block_out_channels.size());
  expect_block_types(config, "up_block_types", "UpDecoderBlock2D", c.block_out_channels.size());
  return c;
}

}  // namespace icedit
