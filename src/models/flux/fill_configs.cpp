#include "models/flux/fill_configs.h"

#include <map>

namespace icedit {
namespace {

constexpr const char* kTransformer = R"({
  "_class_name": "FluxTransformer2DModel",
  "attention_head_dim": 128,
  "axes_dims_rope": [16, 56, 56],
  "guidance_embeds": true,
  "in_channels": 384,
  "joint_attention_dim": 4096,
  "num_attention_heads": 24,
  "num_layers": 19,
  "num_single_layers": 38,
  "out_channels": 64,
  "patch_size": 1,
  "pooled_projection_dim": 768
})";

constexpr const char* kT5 = R"({
  "architectures": ["T5EncoderModel"],
  "d_ff": 10240,
  "d_kv": 64,
  "d_model": 4096,
  "decoder_start_token_id": 0,
  "dense_act_fn": "gelu_new",
  "eos_token_id": 1,
  "feed_forward_proj": "gated-gelu",
  "is_gated_act": true,
  "layer_norm_epsilon": 1e-06,
  "model_type": "t5",
  "num_heads": 64,
  "num_layers": 24,
  "pad_token_id": 0,
  "relative_attention_max_distance": 128,
  "relative_attention_num_buckets": 32,
  "vocab_size": 32128
})";

// eos_token_id 2 is as released: it makes the pooled state that of the largest token id.
constexpr const char* kClip = R"({
  "architectures": ["CLIPTextModel"],
  "bos_token_id": 0,
  "eos_token_id": 2,
  "hidden_act": "quick_gelu",
  "hidden_size": 768,
  "intermediate_size": 3072,
  "layer_norm_eps": 1e-05,
  "max_position_embeddings": 77,
  "model_type": "clip_text_model",
  "num_attention_heads": 12,
  "num_hidden_layers": 12,
  "pad_token_id": 1,
  "projection_dim": 768,
  "vocab_size": 49408
})";

constexpr const char* kVae = R"({
  "_class_name": "AutoencoderKL",
  "act_fn": "silu",
  "block_out_channels": [128, 256, 512, 512],
  "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
  "force_upcast": true,
  "in_channels": 3,
  "latent_channels": 16,
  "layers_per_block": 2,
  "mid_block_add_attention": true,
  "norm_num_groups": 32,
  "out_channels": 3,
  "sample_size": 1024,
  "scaling_factor": 0.3611,
  "shift_factor": 0.1159,
  "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"],
  "use_post_quant_conv": false,
  "use_quant_conv": false
})";

constexpr const char* kScheduler = R"({
  "_class_name": "FlowMatchEulerDiscreteScheduler",
  "base_image_seq_len": 256,
  "base_shift": 0.5,
  "max_image_seq_len": 4096,
  "max_shift": 1.15,
  "num_train_timesteps": 1000,
  "shift": 3.0,
  "use_dynamic_shifting": true
})";

const std::map<std::string, const char*> kConfigs = {{"transformer", kTransformer},
                                                     {"text_encoder", kClip},
                                                     {"text_encoder_2", kT5},
                                                     {"vae", kVae},
                                                     {"scheduler", kScheduler}};

}  // namespace

JsonFile fill_config(const std::string& component) {
  return JsonFile::parse(kConfigs.at(component), "FLUX.1 Fill's " + component + " config");
}

}  // namespace icedit
