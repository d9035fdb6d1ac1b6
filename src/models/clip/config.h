#pragma once
#include <cstdint>

#include "io/json_file.h"
#include "nn/activation.h"

namespace icedit {

// transformers' CLIPTextConfig; also read from the "text_config" of a whole CLIPModel's.
struct ClipConfig {
  int64_t vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads;
  int64_t max_position_embeddings;
  int64_t eos_token_id;  // 2 in old configs, FLUX's among them, whatever the tokenizer says
  double layer_norm_eps;
  Activation activation;

  // Throws CheckpointError naming file, key and value.
  static ClipConfig from(const JsonFile& config);
};

}  // namespace icedit
