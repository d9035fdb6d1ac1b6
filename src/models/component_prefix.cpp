#include "models/component_prefix.h"

#include <algorithm>

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

}  // namespace

Checkpoint component_of(const Checkpoint& file, const ComponentMarks& marks) {
  for (const std::string& prefix : marks.prefixes) {
    const bool here = std::any_of(marks.tensors.begin(), marks.tensors.end(),
                                  [&](const std::string& mark) { return file.has(prefix + mark); });
    if (!here) continue;
    return file.renamed([&](const std::string& name) {
      return name.rfind(prefix, 0) == 0 && !is_fp8_mark(name) ? name.substr(prefix.size()) : "";
    });
  }
  throw CheckpointError(str(file.where(), ": no ", marks.what, " in it (looked for '",
                            marks.tensors.front(), "' and the like). ", looks_like(file)));
}

}  // namespace icedit
