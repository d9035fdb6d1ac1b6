#include "models/single_file.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "nn/fp8_scales.h"

namespace icedit {
namespace {

// What a file that is not the component asked for may be: a part of a tensor's name, and what it
// tells.
constexpr struct {
  const char *part, *what;
} kSigns[] = {
    {"lora_", "an adapter (LoRA): give it with --lora"},
    {"lora.", "an adapter (LoRA): give it with --lora"},
    {"double_blocks.", "a FLUX transformer in BFL's names: give it with --transformer"},
    {"single_transformer_blocks.",
     "a FLUX transformer in diffusers' names: give it with --transformer"},
    {"SelfAttention.", "a T5 encoder: give it with --t5"},
    {"enc.blk.", "a T5 encoder: give it with --t5"},
    {"text_model.", "a CLIP text encoder: give it with --clip"},
    {"joint_blocks.", "a Stable Diffusion 3 model, which is not supported"},
    {"input_blocks.", "a Stable Diffusion 1, 2 or XL model, which is not supported"},
    {"down_blocks.0.attentions", "a Stable Diffusion UNet, which is not supported"},
    {"decoder.conv_in", "a VAE: give it with --vae"},
};

std::string looks_like(const Checkpoint& file) {
  for (const auto& sign : kSigns) {
    for (const auto& [name, entry] : file.entries()) {
      if (name.find(sign.part) != std::string::npos) return str("It looks like ", sign.what, ".");
    }
  }
  return file.entries().empty() ? "It is empty."
                                : str("Its first tensor is '", file.entries().begin()->first, "'.");
}

const ComponentMarks kT5Marks = {
    "T5 encoder",
    {"", "text_encoders.t5xxl.transformer.", "t5xxl.transformer.", "text_encoders.t5xxl.",
     "text_encoder_2.", "conditioner.embedders.1.transformer.", "transformer.", "model."},
    {"encoder.block.0.layer.0.SelfAttention.q.weight"},
    {"decoder.", "lm_head.", "spiece_model", "logit_scale"}};

const ComponentMarks kClipMarks = {
    "CLIP text encoder",
    {"", "text_encoders.clip_l.transformer.", "clip_l.transformer.", "text_encoders.clip_l.",
     "text_encoder.", "cond_stage_model.transformer.", "conditioner.embedders.0.transformer.",
     "transformer."},
    // transformers 5 saves CLIPTextModel without "text_model.".
    {"text_model.embeddings.token_embedding.weight", "embeddings.token_embedding.weight"},
    // Anything that is no known part of a CLIP stays, for the model to name as left over.
    {"vision_model.", "text_model.embeddings.position_ids", "embeddings.position_ids",
     "text_projection", "visual_projection", "logit_scale"}};

// llama.cpp's names of a T5 encoder, as in GGUF files: "enc.blk.3.attn_q" and transformers' name
// below "encoder.block.3.layer".
constexpr std::pair<const char*, const char*> kGgufT5Names[] = {
    {"attn_q", "0.SelfAttention.q"},
    {"attn_k", "0.SelfAttention.k"},
    {"attn_v", "0.SelfAttention.v"},
    {"attn_o", "0.SelfAttention.o"},
    {"attn_rel_b", "0.SelfAttention.relative_attention_bias"},
    {"attn_norm", "0.layer_norm"},
    {"ffn_gate", "1.DenseReluDense.wi_0"},
    {"ffn_up", "1.DenseReluDense.wi_1"},
    {"ffn_down", "1.DenseReluDense.wo"},
    {"ffn_norm", "1.layer_norm"}};

// `gated`: its feed-forward has a gate; else `ffn_up` is all of it. A name that is not known stays.
std::string from_gguf_t5(const std::string& name, bool gated) {
  const std::string blocks = "enc.blk.", weight = ".weight";
  if (name == "token_embd.weight") return "shared.weight";
  if (name == "enc.output_norm.weight") return "encoder.final_layer_norm.weight";
  const size_t dot = name.find('.', blocks.size());
  if (!name.starts_with(blocks) || !name.ends_with(weight) || dot == std::string::npos) return name;
  const std::string number = name.substr(blocks.size(), dot - blocks.size());
  const std::string part = name.substr(dot + 1, name.size() - weight.size() - dot - 1);
  if (part == "ffn_up" && !gated)
    return str("encoder.block.", number, ".layer.1.DenseReluDense.wi.weight");
  for (const auto& [theirs, ours] : kGgufT5Names) {
    if (part == theirs) return str("encoder.block.", number, ".layer.", ours, weight);
  }
  return name;
}

bool begins_with_one(const std::string& name, const std::vector<std::string>& starts) {
  return std::any_of(starts.begin(), starts.end(),
                     [&](const std::string& start) { return name.starts_with(start); });
}

}  // namespace

Checkpoint component_of(const Checkpoint& file, const ComponentMarks& marks) {
  for (const std::string& prefix : marks.prefixes) {
    const bool here = std::any_of(marks.tensors.begin(), marks.tensors.end(),
                                  [&](const std::string& mark) { return file.has(prefix + mark); });
    if (!here) continue;
    return file.renamed([&](const std::string& name) -> std::string {
      if (!name.starts_with(prefix)) return "";
      const std::string own = name.substr(prefix.size());
      const bool of_the_file = own.find('.') == std::string::npos && is_fp8_mark(own);
      return of_the_file || begins_with_one(own, marks.left_out) ? "" : own;
    });
  }
  throw CheckpointError(str(file.where(), ": no ", marks.what, " in it (looked for '",
                            marks.tensors.front(), "' and the like). ", looks_like(file)));
}

std::string gguf_t5_name(const std::string& name) {
  const std::string blocks = "encoder.block.", weight = ".weight";
  if (name == "shared.weight") return "token_embd.weight";
  if (name == "encoder.final_layer_norm.weight") return "enc.output_norm.weight";
  const size_t dot = name.find('.', blocks.size());
  if (name.starts_with(blocks) && dot != std::string::npos) {
    const std::string number = name.substr(blocks.size(), dot - blocks.size());
    const std::string rest = name.substr(dot + 1);
    for (const auto& [theirs, ours] : kGgufT5Names)
      if (rest == str("layer.", ours, weight)) return str("enc.blk.", number, ".", theirs, weight);
    if (rest == "layer.1.DenseReluDense.wi.weight")
      return str("enc.blk.", number, ".ffn_up.weight");
  }
  throw CheckpointError(str("tensor '", name, "' is no part of a T5 encoder"));
}

Checkpoint t5_single_file(const Checkpoint& file) {
  if (file.has("enc.blk.0.attn_q.weight")) {
    const bool gated = file.has("enc.blk.0.ffn_gate.weight");
    return file.renamed([&](const std::string& name) { return from_gguf_t5(name, gated); });
  }
  const Checkpoint t5 = component_of(file, kT5Marks);
  const std::string table = "shared.weight";
  return t5.renamed([&](const std::string& name) -> std::string {
    if (name != "encoder.embed_tokens.weight") return name;
    return t5.has(table) ? "" : table;
  });
}

Checkpoint clip_single_file(const Checkpoint& file) {
  return component_of(file, kClipMarks);
}

}  // namespace icedit
