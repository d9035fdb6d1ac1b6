#pragma once
// Tensor names in adapter files, read and written, of every layout that is in use:
//   diffusers   transformer.MODULE.lora_A.weight, .lora_B.weight, .alpha; also .lora.down.weight,
//               .lora_down.weight
//   peft        base_model.model.MODULE.lora_A.weight, with an adapter's name before .weight in
//               some
//   icedit-moe  transformer.MODULE.lora_A.expert_3.weight, .lora_route.weight
//   kohya       lora_unet_MODULE.lora_down.weight, .lora_up.weight, .alpha; lora_transformer_MODULE
//               (OneTrainer), lycoris_MODULE; dots are underscores there, the modules BFL's or
//               diffusers'
//   bfl         diffusion_model.MODULE.lora_A.weight or .lora_down.weight (ComfyUI); BFL's modules
//   xlabs       double_blocks.3.processor.qkv_lora1.down.weight
// Heads may follow each other ("base_model.model.diffusion_model."), and a wrapped module's name
// ("module.", "_orig_mod.") may stand anywhere.
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

enum class AdapterLayout { kDiffusers, kPeft, kKohya };  // those that are written

// The name of a tensor in a file of ours. A mixture's are the same in every layout.
std::string adapter_key(AdapterLayout layout, const std::string& module, AdapterRole role,
                        int64_t expert = -1);

// Why a tensor is left alone, which is for the text encoders; "" for all others.
std::string text_encoder_reason(const std::string& name);

// What kind of adapter that we do not support has such a tensor, as a whole sentence; "" for none.
std::string unsupported_kind(const std::string& name);

// What is wrong with a tensor that parse_adapter_key does not know, after "tensor 'NAME' ".
std::string unmatched_reason(const std::string& name);

// The model's modules that an adapter's module means, in the order of their rows; one for most.
std::vector<std::string> adapted_modules(const std::string& module);

}  // namespace icedit
