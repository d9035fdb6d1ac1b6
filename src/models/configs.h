#pragma once
// What the config.json of each component says. All `from` throw CheckpointError naming file, key
// and value, also for what does not hold together.
#include <cstdint>
#include <vector>

#include "io/json_file.h"
#include "nn/activation.h"

namespace icedit {

// FluxTransformer2DModel's config.json, by diffusers' names.
struct FluxConfig {
  int64_t in_channels = 384;  // 64 noisy + 64 masked-image + 256 mask channels for Fill, 64 for dev
  int64_t out_channels = 64;
  int64_t num_layers = 19;         // double blocks
  int64_t num_single_layers = 38;  // single blocks
  int64_t num_attention_heads = 24;
  int64_t attention_head_dim = 128;
  int64_t joint_attention_dim = 4096;   // T5's width
  int64_t pooled_projection_dim = 768;  // CLIP's width
  bool guidance_embeds = true;
  std::vector<int64_t> axes_dims_rope = {16, 56, 56};

  int64_t hidden() const { return num_attention_heads * attention_head_dim; }

  static FluxConfig from(const JsonFile& json);
};

// The encoder's part of transformers' T5Config.
struct T5Config {
  int64_t vocab_size, d_model, d_kv, d_ff, num_layers, num_heads;
  int64_t relative_attention_num_buckets, relative_attention_max_distance;
  double layer_norm_epsilon;
  bool gated;  // wi_0 and wi_1 in place of wi
  Activation activation;

  static T5Config from(const JsonFile& config);
};

// transformers' CLIPTextConfig; also read from the "text_config" of a whole CLIPModel's.
struct ClipConfig {
  int64_t vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads;
  int64_t max_position_embeddings;
  int64_t eos_token_id;  // 2 in old configs, FLUX's among them, whatever the tokenizer says
  double layer_norm_eps;
  Activation activation;

  static ClipConfig from(const JsonFile& config);
};

// diffusers' AutoencoderKL config; its defaults where a key is missing.
struct VaeConfig {
  int64_t in_channels, out_channels;  // of pictures
  int64_t latent_channels;
  std::vector<int64_t> block_out_channels;  // widest picture first
  int64_t layers_per_block;
  int64_t norm_num_groups;
  double scaling_factor, shift_factor;  // normalised = (z - shift) scale
  bool use_quant_conv, use_post_quant_conv;
  bool mid_block_add_attention;

  static VaeConfig from(const JsonFile& config);

  // Pixels along one side of a latent.
  int64_t downscale() const { return int64_t{1} << (block_out_channels.size() - 1); }
};

}  // namespace icedit
