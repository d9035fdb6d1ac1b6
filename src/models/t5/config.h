#pragma once
#include <cstdint>

#include "io/json_file.h"
#include "nn/activation.h"

namespace icedit {

// The encoder's part of transformers' T5Config.
struct T5Config {
  int64_t vocab_size, d_model, d_kv, d_ff, num_layers, num_heads;
  int64_t relative_attention_num_buckets, relative_attention_max_distance;
  double layer_norm_epsilon;
  bool gated;  // wi_0 and wi_1 in place of wi
  Activation activation;

  // Throws CheckpointError naming file, key and value.
  static T5Config from(const JsonFile& config);
};

}  // namespace icedit
