#include "adapters/adapter_keys.h"

#include <algorithm>
#include <cstdint>
#include <regex>

#include "base/str.h"
#include "models/flux/names.h"

namespace icedit {
namespace {

// std::regex recurses for every character.
constexpr size_t kLongestName = 500;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool strip(std::string& text, const std::string& head) {
  if (text.rfind(head, 0) != 0) return false;
  text.erase(0, head.size());
  return true;
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
      R"((?:diffusion_model\.)?(double|single)_blocks\.(\d{1,4})\.processor\.(qkv|proj)_lora([12]?)\.(down|up)\.weight)");
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

// Prefixes that say where the module lies, the longest first; and the layout that has them.
constexpr struct {
  const char *prefix, *layout;
  bool underscored;
} kPrefixes[] = {
    {"base_model.model.transformer.", "peft", false},
    {"base_model.model.", "peft", false},
    {"model.diffusion_model.", "bfl", false},
    {"diffusion_model.", "bfl", false},
    {"lora_transformer_", "kohya", true},
    {"lora_unet_", "kohya", true},
    {"transformer.", "diffusers", false},
    {"", "diffusers", false},
};

}  // namespace

std::optional<AdapterKey> parse_adapter_key(const std::string& name) {
  if (name.size() > kLongestName) return std::nullopt;
  if (const auto xlabs = parse_xlabs(name)) return xlabs;
  const auto ending = parse_ending(name);
  if (!ending) return std::nullopt;
  for (const auto& [prefix, layout, underscored] : kPrefixes) {
    std::string module = ending->rest;
    if (!strip(module, prefix)) continue;
    if (underscored) module = with_dots(module);
    if (module.empty()) return std::nullopt;
    AdapterKey key{layout, prefix, module, ending->role, ending->expert};
    if (key.layout == "diffusers" && !diffusers_modules(module).empty()) key.layout = "bfl";
    if (key.expert >= 0 || key.role == AdapterRole::kRoute) key.layout = "icedit-moe";
    return key;
  }
  return std::nullopt;
}

bool is_text_encoder_key(const std::string& name) {
  static const std::vector<std::string> heads = {
      "text_encoder.", "text_encoder_2.", "text_encoders.", "text_model.", "lora_te_", "lora_te1_",
      "lora_te2_",     "lora_te3_",       "te1.",           "te2.",        "clip_l.",  "t5xxl."};
  return std::any_of(heads.begin(), heads.end(),
                     [&](const auto& head) { return name.rfind(head, 0) == 0; });
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
