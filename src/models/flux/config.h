#pragma once
#include <cstdint>
#include <vector>

#include "io/json_file.h"

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

  // Throws CheckpointError for a config that is no FLUX's or does not hold together.
  static FluxConfig from(const JsonFile& json);
};

}  // namespace icedit
