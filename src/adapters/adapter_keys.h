#pragma once
// Tensor names in adapter files, of every layout that is in use:
//   diffusers   transformer.MODULE.lora_A.weight, .lora_B.weight, .alpha; also .lora.down.weight,
//   .lora_down.weight peft        base_model.model.MODULE.lora_A.weight, with an adapter's name
//   before .weight in some icedit-moe  transformer.MODULE.lora_A.expert_3.weight,
//   .lora_route.weight kohya       lora_unet_MODULE.lora_down.weight, .lora_up.weight, .alpha;
//   lora_transformer_MODULE (OneTrainer);
//               dots are underscores there, the modules BFL's or diffusers'
//   bfl         diffusion_model.MODULE.lora_A.weight or .lora_down.weight (ComfyUI); BFL's modules
//   xlabs       double_blocks.3.processor.qkv_lora1.down.weight
// Source: diffusers loaders/lora_conversion_utils.py (which names there are).
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace icedit {

enum class AdapterRole { kDown, kUp, kAlpha, kRoute };

struct AdapterKey {
  std::string layout;  // as above
  std::string prefix;  // what stood before the module: "transformer.", "lora_unet_", ...
  std::string module;  // with dots, in BFL's or diffusers' names
  AdapterRole role;
  int64_t expert = -1;  // of a mixture
};

// Nothing for a name that no layout has.
std::optional<AdapterKey> parse_adapter_key(const std::string& name);

// Whether the tensor adapts a text encoder.
bool is_text_encoder_key(const std::string& name);

// What kind of adapter that we do not support has such a tensor, as a whole sentence; "" for none.
std::string unsupported_kind(const std::string& name);

// The model's modules that an adapter's module means, in the order of their rows; one for most.
std::vector<std::string> adapted_modules(const std::string& module);

}  // namespace icedit
