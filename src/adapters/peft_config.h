#pragma once
// peft's LoraConfig as it is stored: adapter_config.json beside a PEFT adapter, or the JSON text
// under "lora_adapter_metadata" in the header of a diffusers file (keys prefixed by
// "transformer.", or by nothing).
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/json_file.h"

namespace icedit {

class PeftConfig {
 public:
  // Only keys that start with `prefix` are read. `where` names the text in errors. Throws
  // CheckpointError: not JSON, wrong types, an adapter that is no plain LoRA (named, with a
  // remedy).
  static PeftConfig parse(const std::string& json, const std::string& where,
                          const std::string& prefix = "");

  // What kohya's header says: an alpha for all modules. Without one where it is no number above 0.
  static PeftConfig of_kohya(const std::string& network_alpha);

  // Whether it says anything about the adapter.
  bool stated() const { return rank_.common || alpha_.common; }
  // For a module by its name in the model: patterns first, in the order of the file, then the
  // common value. Source: peft utils/other.py, get_pattern_key.
  std::optional<double> alpha(const std::string& module) const { return alpha_.of(module); }
  std::optional<double> rank(const std::string& module) const { return rank_.of(module); }
  bool rslora() const { return rslora_; }
  const std::string& where() const { return where_; }

 private:
  struct Value {
    std::vector<std::pair<std::function<bool(const std::string&)>, double>> patterns;
    std::optional<double> common;
    std::optional<double> of(const std::string& module) const;
  };
  static Value value(const JsonFile& json, const std::string& text, const std::string& common,
                     const std::string& patterns);

  std::string where_;
  Value rank_, alpha_;
  bool rslora_ = false;
};

}  // namespace icedit
