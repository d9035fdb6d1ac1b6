#pragma once
// peft's LoraConfig as it is stored: adapter_config.json beside a PEFT adapter, or the JSON text
// under "lora_adapter_metadata" in the header of a diffusers file (keys prefixed by
// "transformer.", or by nothing).
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adapters/pattern.h"

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
  bool stated() const { return rank_.has_value() || alpha_.has_value(); }
  // For a module by its name in the model: patterns first, in the order of the file, then the
  // common value. Source: peft utils/other.py, get_pattern_key.
  std::optional<double> alpha(const std::string& module) const {
    return find(alpha_patterns_, alpha_, module);
  }
  std::optional<double> rank(const std::string& module) const {
    return find(rank_patterns_, rank_, module);
  }
  bool rslora() const { return rslora_; }
  const std::string& where() const { return where_; }

 private:
  using Patterns = std::vector<std::pair<Pattern, double>>;
  static std::optional<double> find(const Patterns& patterns, std::optional<double> common,
                                    const std::string& module);

  std::string where_;
  std::optional<double> rank_, alpha_;
  Patterns rank_patterns_, alpha_patterns_;
  bool rslora_ = false;
};

}  // namespace icedit
