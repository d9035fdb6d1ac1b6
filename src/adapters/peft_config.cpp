#include "adapters/peft_config.h"

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "adapters/targets.h"
#include "base/error.h"

namespace icedit {
namespace {

// JsonFile sorts its keys; which of two patterns comes first matters here.
std::vector<std::string> keys_in_order(const std::string& json, const std::string& key) {
  std::vector<std::string> keys;
  const auto object = nlohmann::ordered_json::parse(json);
  for (const auto& item : object.at(key).items()) keys.push_back(item.key());
  return keys;
}

double positive(const JsonFile& json, const std::string& key) {
  const double value = json.number(key);
  if (!(value > 0) || !std::isfinite(value)) {
    throw CheckpointError(
        str(json.where(), ": '", key, "' is ", value, "; expected a number above 0"));
  }
  return value;
}

void refuse(const JsonFile& json, const std::string& key, const std::string& what) {
  throw CheckpointError(
      str(json.where(), ": '", key, "' asks for ", what,
          ", which is not supported; only plain LoRA is. Merge the adapter into the base model in "
          "Python (peft's merge_and_unload) and load the merged model."));
}

void expect_plain_lora(const JsonFile& json, const std::string& prefix) {
  const std::string type = json.text_or(prefix + "peft_type", "LORA");
  if (type != "LORA") refuse(json, prefix + "peft_type", type);
  if (json.boolean_or(prefix + "use_dora", false)) refuse(json, prefix + "use_dora", "DoRA");
  if (json.boolean_or(prefix + "use_qalora", false)) refuse(json, prefix + "use_qalora", "QA-LoRA");
  if (json.boolean_or(prefix + "lora_bias", false))
    refuse(json, prefix + "lora_bias", "a LoRA with biases");
  const std::string key = prefix + "init_lora_weights";
  // A boolean, or the name of a method; these three change the base weights too.
  std::string init;
  try {
    init = json.text_or(key, "");
  } catch (const CheckpointError&) {
    json.boolean_or(key, true);
  }
  for (const char* method : {"pissa", "olora", "loftq"}) {
    if (init.rfind(method, 0) == 0) refuse(json, key, init + " (it changes the base weights)");
  }
}

}  // namespace

PeftConfig PeftConfig::parse(const std::string& text, const std::string& where,
                             const std::string& prefix) {
  const JsonFile json = JsonFile::parse(text, where);
  expect_plain_lora(json, prefix);
  PeftConfig config;
  config.where_ = where;
  config.rank_ = value(json, text, prefix + "r", prefix + "rank_pattern");
  config.alpha_ = value(json, text, prefix + "lora_alpha", prefix + "alpha_pattern");
  config.rslora_ = json.boolean_or(prefix + "use_rslora", false);
  return config;
}

PeftConfig PeftConfig::of_kohya(const std::string& network_alpha) {
  PeftConfig config;
  char* end = nullptr;
  const double alpha = std::strtod(network_alpha.c_str(), &end);
  if (*end == '\0' && alpha > 0 && std::isfinite(alpha)) config.alpha_.common = alpha;
  return config;
}

PeftConfig::Value PeftConfig::value(const JsonFile& json, const std::string& text,
                                    const std::string& common, const std::string& patterns) {
  Value value;
  if (json.has(common)) value.common = positive(json, common);
  if (!json.has(patterns)) return value;
  const JsonFile object = json.object(patterns);
  for (const std::string& name : keys_in_order(text, patterns)) {
    value.patterns.emplace_back(pattern("(.*\\.)?(" + name + ")$", object.where(), /*whole=*/false),
                                positive(object, name));
  }
  return value;
}

std::optional<double> PeftConfig::Value::of(const std::string& module) const {
  for (const auto& [matches, value] : patterns) {
    if (matches(module)) return value;
  }
  return common;
}

}  // namespace icedit
