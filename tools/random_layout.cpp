#include "random_layout.h"

#include <cmath>

#include "base/str.h"

namespace icedit::tools {
namespace {

constexpr int64_t kHeadDim = 128, kT5HeadDim = 64, kClipHeadDim = 64;
constexpr int64_t kLatentPatch = 64, kSinusoids = 256, kLatents = 16;
constexpr int64_t kVaeLayers = 2;

// Collects tensors under a path.
class Layout {
 public:
  explicit Layout(std::vector<RandomTensor>& tensors, std::string path = "")
      : tensors_(tensors), path_(std::move(path)) {}

  template <class Part>
  Layout operator/(const Part& part) const {
    return Layout(tensors_, path_.empty() ? str(part) : str(path_, ".", part));
  }
  void add(const std::string& name, std::vector<int64_t> shape, double deviation,
           double mean = 0) const {
    tensors_.push_back(
        {path_.empty() ? name : path_ + "." + name, std::move(shape), mean, deviation});
  }
  void linear(int64_t in, int64_t out, bool bias = true, double gain = 1) const {
    add("weight", {out, in}, gain / std::sqrt(static_cast<double>(in)));
    if (bias) add("bias", {out}, 0.02);
  }
  void conv(int64_t in, int64_t out, int64_t kernel) const {
    add("weight", {out, in, kernel, kernel},
        1 / std::sqrt(static_cast<double>(in * kernel * kernel)));
    add("bias", {out}, 0.02);
  }
  void norm(int64_t channels, bool bias) const {
    add("weight", {channels}, 0.05, 1);
    if (bias) add("bias", {channels}, 0.02);
  }

 private:
  std::vector<RandomTensor>& tensors_;
  std::string path_;
};

// The modulations' gain keeps their scales and gates below one, so that no depth overflows f16.
constexpr double kModulationGain = 0.3;

void double_block(const Layout& block, int64_t c) {
  for (const char* norm : {"norm1", "norm1_context"})
    (block / norm / "linear").linear(c, 6 * c, true, kModulationGain);
  const Layout attn = block / "attn";
  for (const char* norm : {"norm_q", "norm_k", "norm_added_q", "norm_added_k"})
    (attn / norm).norm(kHeadDim, false);
  for (const char* name :
       {"to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"})
    (attn / name).linear(c, c);
  for (const char* ff : {"ff", "ff_context"}) {
    (block / ff / "net.0.proj").linear(c, 4 * c);
    (block / ff / "net.2").linear(4 * c, c);
  }
}

void single_block(const Layout& block, int64_t c) {
  (block / "norm.linear").linear(c, 3 * c, true, kModulationGain);
  (block / "proj_mlp").linear(c, 4 * c);
  (block / "proj_out").linear(5 * c, c);
  for (const char* norm : {"norm_q", "norm_k"}) (block / "attn" / norm).norm(kHeadDim, false);
  for (const char* name : {"to_q", "to_k", "to_v"}) (block / "attn" / name).linear(c, c);
}

// Noise, masked latents and the mask's pixels, each of 2 x 2 latents: 384 for FLUX.1 Fill.
int64_t fill_channels(const Sizes& s) {
  const int64_t downscale = int64_t{1} << (s.vae_channels.size() - 1);
  return 2 * kLatentPatch + 4 * downscale * downscale;
}

RandomComponent transformer(const Sizes& s) {
  RandomComponent component{"transformer", "diffusion_pytorch_model", "", {}};
  const Layout root(component.tensors);
  const int64_t c = s.hidden;
  (root / "x_embedder").linear(fill_channels(s), c);
  (root / "context_embedder").linear(s.joint, c);
  const auto embedder = [&](const char* name, int64_t in) {
    (root / "time_text_embed" / name / "linear_1").linear(in, c);
    (root / "time_text_embed" / name / "linear_2").linear(c, c);
  };
  embedder("timestep_embedder", kSinusoids);
  embedder("guidance_embedder", kSinusoids);
  embedder("text_embedder", s.pooled);
  for (int64_t i = 0; i < s.double_blocks; ++i) double_block(root / "transformer_blocks" / i, c);
  for (int64_t i = 0; i < s.single_blocks; ++i)
    single_block(root / "single_transformer_blocks" / i, c);
  (root / "norm_out.linear").linear(c, 2 * c, true, kModulationGain);
  (root / "proj_out").linear(c, kLatentPatch);
  component.config =
      str(R"({"_class_name": "FluxTransformer2DModel", "attention_head_dim": )", kHeadDim,
          R"(, "axes_dims_rope": [16, 56, 56], "guidance_embeds": true, "in_channels": )",
          fill_channels(s), R"(, "joint_attention_dim": )", s.joint, R"(, "num_attention_heads": )",
          c / kHeadDim, R"(, "num_layers": )", s.double_blocks, R"(, "num_single_layers": )",
          s.single_blocks, R"(, "out_channels": )", kLatentPatch,
          R"(, "patch_size": 1, "pooled_projection_dim": )", s.pooled, "}");
  return component;
}

// T5's attention has no 1/sqrt(head) scale: q's weights carry it.
RandomComponent t5(const Sizes& s) {
  RandomComponent component{"text_encoder_2", "model", "", {}};
  const Layout root(component.tensors);
  const int64_t c = s.joint, ff = c * 5 / 2, heads = c / kT5HeadDim;
  root.add("shared.weight", {s.t5_vocab, c}, 1);
  for (int64_t i = 0; i < s.t5_layers; ++i) {
    const Layout block = root / "encoder.block" / i / "layer";
    const Layout attention = block / 0 / "SelfAttention";
    (attention / "q").linear(c, c, false, 1 / std::sqrt(static_cast<double>(kT5HeadDim)));
    for (const char* name : {"k", "v", "o"}) (attention / name).linear(c, c, false);
    if (i == 0) attention.add("relative_attention_bias.weight", {32, heads}, 0.5);
    (block / 0 / "layer_norm").norm(c, false);
    const Layout dense = block / 1 / "DenseReluDense";
    for (const char* name : {"wi_0", "wi_1"}) (dense / name).linear(c, ff, false);
    (dense / "wo").linear(ff, c, false);
    (block / 1 / "layer_norm").norm(c, false);
  }
  (root / "encoder.final_layer_norm").norm(c, false);
  component.config =
      str(R"({"architectures": ["T5EncoderModel"], "d_ff": )", ff, R"(, "d_kv": )", kT5HeadDim,
          R"(, "d_model": )", c,
          R"(, "decoder_start_token_id": 0, "dense_act_fn": "gelu_new", "dropout_rate": 0.1, )",
          R"("eos_token_id": 1, "feed_forward_proj": "gated-gelu", "is_gated_act": true, )",
          R"("layer_norm_epsilon": 1e-06, "model_type": "t5", "num_heads": )", heads,
          R"(, "num_layers": )", s.t5_layers,
          R"(, "pad_token_id": 0, "relative_attention_max_distance": 128, )",
          R"("relative_attention_num_buckets": 32, "torch_dtype": "@DTYPE@", "vocab_size": )",
          s.t5_vocab, "}");
  return component;
}

RandomComponent clip(const Sizes& s) {
  RandomComponent component{"text_encoder", "model", "", {}};
  const Layout root(component.tensors);
  const Layout model = root / "text_model";
  const int64_t c = s.pooled;
  model.add("embeddings.token_embedding.weight", {s.clip_vocab, c}, 0.5);
  model.add("embeddings.position_embedding.weight", {77, c}, 0.1);
  for (int64_t i = 0; i < s.clip_layers; ++i) {
    const Layout layer = model / "encoder.layers" / i;
    for (const char* name : {"q_proj", "k_proj", "v_proj", "out_proj"})
      (layer / "self_attn" / name).linear(c, c);
    for (const char* norm : {"layer_norm1", "layer_norm2"}) (layer / norm).norm(c, true);
    (layer / "mlp.fc1").linear(c, 4 * c);
    (layer / "mlp.fc2").linear(4 * c, c);
  }
  (model / "final_layer_norm").norm(c, true);
  component.config =
      str(R"({"architectures": ["CLIPTextModel"], "bos_token_id": 0, "eos_token_id": 2, )",
          R"("hidden_act": "quick_gelu", "hidden_size": )", c, R"(, "intermediate_size": )", 4 * c,
          R"(, "layer_norm_eps": 1e-05, "max_position_embeddings": 77, "model_type": )",
          R"("clip_text_model", "num_attention_heads": )", c / kClipHeadDim,
          R"(, "num_hidden_layers": )", s.clip_layers, R"(, "pad_token_id": 1, "projection_dim": )",
          c, R"(, "torch_dtype": "@DTYPE@", "vocab_size": )", s.clip_vocab, "}");
  return component;
}

void resnet(const Layout& block, int64_t in, int64_t out) {
  (block / "norm1").norm(in, true);
  (block / "conv1").conv(in, out, 3);
  (block / "norm2").norm(out, true);
  (block / "conv2").conv(out, out, 3);
  if (in != out) (block / "conv_shortcut").conv(in, out, 1);
}

// The encoder's blocks are "down", the decoder's "up": one resnet more, the channels the other way
// round.
void vae_coder(const Layout& coder, const std::vector<int64_t>& channels, bool up) {
  const int64_t inner = up ? channels.front() : channels.back();
  const std::string direction = up ? "up" : "down";
  (coder / "conv_in").conv(up ? kLatents : 3, channels.front(), 3);
  int64_t in = channels.front();
  for (size_t i = 0; i < channels.size(); ++i) {
    const Layout block = coder / (direction + "_blocks") / i;
    for (int64_t k = 0; k < kVaeLayers + (up ? 1 : 0); ++k)
      resnet(block / "resnets" / k, k == 0 ? in : channels[i], channels[i]);
    in = channels[i];
    if (i + 1 < channels.size()) (block / (direction + "samplers.0.conv")).conv(in, in, 3);
  }
  const Layout middle = coder / "mid_block";
  for (int64_t k : {0, 1}) resnet(middle / "resnets" / k, inner, inner);
  (middle / "attentions.0.group_norm").norm(inner, true);
  for (const char* name : {"to_q", "to_k", "to_v", "to_out.0"})
    (middle / "attentions.0" / name).linear(inner, inner);
  (coder / "conv_norm_out").norm(channels.back(), true);
  (coder / "conv_out").conv(channels.back(), up ? 3 : 2 * kLatents, 3);
}

std::string repeated(const std::string& text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += str(i == 0 ? "" : ", ", "\"", text, "\"");
  return "[" + all + "]";
}

RandomComponent vae(const Sizes& s) {
  RandomComponent component{"vae", "diffusion_pytorch_model", "", {}};
  const Layout root(component.tensors);
  const std::vector<int64_t>& channels = s.vae_channels;
  vae_coder(root / "encoder", channels, false);
  vae_coder(root / "decoder", {channels.rbegin(), channels.rend()}, true);
  component.config =
      str(R"({"_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": )", channels,
          R"(, "down_block_types": )", repeated("DownEncoderBlock2D", channels.size()),
          R"(, "force_upcast": true, "in_channels": 3, "latent_channels": )", kLatents,
          R"(, "layers_per_block": )", kVaeLayers,
          R"(, "mid_block_add_attention": true, "norm_num_groups": 32, "out_channels": 3, )",
          R"("sample_size": 1024, "scaling_factor": 0.3611, "shift_factor": 0.1159, )",
          R"("up_block_types": )", repeated("UpDecoderBlock2D", channels.size()),
          R"(, "use_post_quant_conv": false, "use_quant_conv": false})");
  return component;
}

}  // namespace

std::vector<RandomComponent> random_components(const Sizes& sizes) {
  return {transformer(sizes), t5(sizes), clip(sizes), vae(sizes)};
}

const char* const kModelIndex = R"({
  "_class_name": "FluxFillPipeline",
  "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
  "text_encoder": ["transformers", "CLIPTextModel"],
  "text_encoder_2": ["transformers", "T5EncoderModel"],
  "tokenizer": ["transformers", "CLIPTokenizer"],
  "tokenizer_2": ["transformers", "T5TokenizerFast"],
  "transformer": ["diffusers", "FluxTransformer2DModel"],
  "vae": ["diffusers", "AutoencoderKL"]
}
)";

const char* const kSchedulerConfig = R"({
  "_class_name": "FlowMatchEulerDiscreteScheduler",
  "base_image_seq_len": 256,
  "base_shift": 0.5,
  "max_image_seq_len": 4096,
  "max_shift": 1.15,
  "num_train_timesteps": 1000,
  "shift": 3.0,
  "use_dynamic_shifting": true
}
)";

}  // namespace icedit::tools
