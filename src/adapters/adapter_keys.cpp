#include "adapters/adapter_keys.h"

#include <algorithm>
#include <cstdint>
#include <regex>
#include <set>

#include "base/str.h"
#include "models/flux/names.h"

namespace icedit {
namespace {

// std::regex recurses for every character.
constexpr size_t kLongestName = 500;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

using Texts = std::vector<std::string>;

// Takes off what `name` begins with of `heads`, and gives it; "" for none.
std::string behead(std::string& name, const Texts& heads) {
  for (const std::string& head : heads) {
    if (!name.starts_with(head)) continue;
    name.erase(0, head.size());
    return head;
  }
  return "";
}

// Without what DDP, torch.compile, FSDP and checkpointing put between the modules' names.
std::string unwrapped(const std::string& name) {
  static const std::set<std::string> wrappers = {"module", "_orig_mod", "_fsdp_wrapped_module",
                                                 "_checkpoint_wrapped_module"};
  std::string kept;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    if (wrappers.count(part) == 0) kept += (kept.empty() ? "" : ".") + part;
    begin = end + 1;
  }
  return kept;
}

struct Headless {
  std::string prefix, name;
};

Headless headless(const std::string& name) {
  static const Texts heads = {"base_model.model.", "model.", "diffusion_model.", "transformer.",
                              "unet."};
  Headless result{"", unwrapped(name)};
  for (std::string head; !(head = behead(result.name, heads)).empty();) result.prefix += head;
  return result;
}

// "double_blocks_0_img_attn_qkv" with dots, also after such heads; "" for what FLUX does not have.
std::string dotted_module(std::string underscored) {
  static const Texts heads = {"base_model_model_", "module_",      "_orig_mod_", "model_",
                              "diffusion_model_",  "transformer_", "unet_"};
  std::string module;
  while ((module = with_dots(underscored)).empty() && !behead(underscored, heads).empty()) {
  }
  return module;
}

struct Ending {
  std::string rest;  // what stands before
  AdapterRole role;
  int64_t expert = -1;
};

// ".lora_A.weight" and its like.
std::optional<Ending> parse_ending(const std::string& name) {
  static const std::vector<std::pair<std::string, AdapterRole>> plain = {
      {".lora_A.weight", AdapterRole::kDown},      {".lora_B.weight", AdapterRole::kUp},
      {".lora_down.weight", AdapterRole::kDown},   {".lora_up.weight", AdapterRole::kUp},
      {".lora.down.weight", AdapterRole::kDown},   {".lora.up.weight", AdapterRole::kUp},
      {".lora_route.weight", AdapterRole::kRoute}, {".alpha", AdapterRole::kAlpha}};
  for (const auto& [ending, role] : plain) {
    if (name.ends_with(ending)) return Ending{name.substr(0, name.size() - ending.size()), role};
  }
  // An expert, or peft's name of the adapter ("default").
  static const std::regex named(R"((.+)\.lora_([AB])\.([^.]+)\.weight)");
  static const std::regex expert(R"(expert_(\d{1,4}))");
  std::smatch m, e;
  if (!std::regex_match(name, m, named)) return std::nullopt;
  const std::string adapter = m[3];
  Ending ending{m[1], m[2] == "A" ? AdapterRole::kDown : AdapterRole::kUp};
  if (std::regex_match(adapter, e, expert)) ending.expert = std::stoll(e[1]);
  return ending;
}

// XLabs' attention processors: their modules in our terms.
std::optional<AdapterKey> parse_xlabs(const std::string& name) {
  static const std::regex key(
      R"((double|single)_blocks\.(\d{1,4})\.processor\.(qkv|proj)_lora([12]?)\.(down|up)\.weight)");
  std::smatch m;
  if (!std::regex_match(name, m, key) || (m[1] == "double") != (m[4] != "")) return std::nullopt;
  const std::string block = str(m[1], "_blocks.", m[2], ".");
  std::string part;
  if (m[1] == "double") {
    part = str(m[4] == "1" ? "img_attn." : "txt_attn.", m[3]);
  } else {
    part = m[3] == "qkv" ? "linear1.qkv" : "linear2";  // without linear1's rows of the MLP
  }
  return AdapterKey{"xlabs", "xlabs", block + part,
                    m[5] == "down" ? AdapterRole::kDown : AdapterRole::kUp};
}

}  // namespace

std::optional<AdapterKey> parse_adapter_key(const std::string& name) {
  if (name.size() > kLongestName) return std::nullopt;
  auto [prefix, rest] = headless(name);
  if (const auto xlabs = parse_xlabs(rest)) return xlabs;
  const auto ending = parse_ending(rest);
  if (!ending) return std::nullopt;
  AdapterKey key{"", prefix, ending->rest, ending->role, ending->expert};
  static const Texts underscored = {"lora_transformer_", "lora_unet_", "lycoris_"};
  const std::string head = behead(key.module, underscored);
  key.prefix += head;
  if (!head.empty()) key.module = dotted_module(key.module);
  if (key.module.empty()) return std::nullopt;
  if (!head.empty())
    key.layout = "kohya";
  else if (key.expert >= 0 || key.role == AdapterRole::kRoute)
    key.layout = "icedit-moe";
  else if (prefix.starts_with("base_model."))
    key.layout = "peft";
  else
    key.layout = diffusers_modules(key.module).empty() ? "diffusers" : "bfl";
  return key;
}

std::string adapter_key(AdapterLayout layout, const std::string& module, AdapterRole role,
                        int64_t expert) {
  const bool kohya = layout == AdapterLayout::kKohya;
  std::string name = module;
  if (kohya) std::replace(name.begin(), name.end(), '.', '_');
  name = (kohya                            ? "lora_unet_"
          : layout == AdapterLayout::kPeft ? "base_model.model."
                                           : "transformer.") +
         name;
  switch (role) {
    case AdapterRole::kAlpha:
      return name + ".alpha";
    case AdapterRole::kRoute:
      return name + ".lora_route.weight";
    case AdapterRole::kDown:
      name += kohya ? ".lora_down" : ".lora_A";
      break;
    case AdapterRole::kUp:
      name += kohya ? ".lora_up" : ".lora_B";
      break;
  }
  return expert < 0 ? name + ".weight" : str(name, ".expert_", expert, ".weight");
}

std::string text_encoder_reason(const std::string& name) {
  static const Texts heads = {
      "text_encoder.", "text_encoder_2.", "text_encoders.", "text_model.", "lora_te_", "lora_te1_",
      "lora_te2_",     "lora_te3_",       "te1.",           "te2.",        "clip_l.",  "t5xxl."};
  const std::string rest = headless(name).name;
  if (rest.starts_with("bundle_emb."))
    return "words that were trained for the text encoders (bundle_emb) are not supported";
  const bool text = std::any_of(heads.begin(), heads.end(),
                                [&](const auto& head) { return rest.starts_with(head); });
  return text ? "only the transformer is adapted" : "";
}

std::string unsupported_kind(const std::string& name) {
  static const std::string merge =
      " is not supported; only LoRA and MoE-LoRA are. Merge it into the base model in Python and "
      "load the merged model, "
      "or train a plain LoRA.";
  static const std::vector<std::pair<std::string, std::string>> kinds = {
      {"lokr_", "LoKr" + merge},
      {"hada_", "LoHa" + merge},
      {"dora_scale", "DoRA" + merge},
      {"lora_magnitude_vector", "DoRA" + merge},
      {"boft_", "BOFT" + merge},
      {"oft_", "OFT" + merge},
      {"lora_mid", "LoCon with a middle factor" + merge},
      {"lora_E", "AdaLoRA" + merge},
      {"vera_lambda", "VeRA" + merge},
      {"ia3_l", "IA3" + merge},
      {".lora_B.bias", "a LoRA with biases" + merge},
      {".lora_up.bias", "a LoRA with biases" + merge},
      {".absmax", "4-bit bitsandbytes (NF4) is not supported; use the 16-bit file."},
      {".quant_map", "4-bit bitsandbytes (NF4) is not supported; use the 16-bit file."},
      {".quant_state", "4-bit bitsandbytes (NF4) is not supported; use the 16-bit file."},
  };
  for (const auto& [part, what] : kinds) {
    if (contains(name, part)) return what;
  }
  return "";
}

std::string unmatched_reason(const std::string& name) {
  if (name.ends_with(".diff_b"))
    return "changes a bias, which is not supported; only low-rank factors are";
  if (name.ends_with(".diff") || name.ends_with(".set_weight"))
    return "changes a weight as a whole, which is not supported; only low-rank factors are";
  return "has a name that no layout has";
}

std::vector<std::string> adapted_modules(const std::string& module) {
  if (module.ends_with(".linear1.qkv")) {
    auto modules = diffusers_modules(module.substr(0, module.size() - 4));
    if (modules.size() == 4) modules.pop_back();
    return modules;
  }
  auto modules = diffusers_modules(module);
  if (modules.empty()) modules = {module};
  return modules;
}

}  // namespace icedit
