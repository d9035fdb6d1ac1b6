#pragma once
// From an adapter file's tensors to AdapterFile's modules: grouping by module, checking, splitting
// what is stacked. Private to adapter_file.cpp.
#include <memory>
#include <optional>

#include "adapters/adapter_file.h"
#include "adapters/adapter_keys.h"
#include "adapters/peft_config.h"
#include "io/safetensors.h"

namespace icedit {

class AdapterGroups {
 public:
  AdapterGroups(std::shared_ptr<const SafetensorsFile> file, const PeftConfig* config,
                const AdapterFileOptions& options);

  void add(const std::string& tensor, const AdapterKey& key);
  // Fills lora, moe, layout and notes.
  void finish(AdapterFile& out);

 private:
  struct Group {
    AdapterKey key;                                                  // of its first tensor
    std::map<std::pair<AdapterRole, int64_t>, std::string> tensors;  // (role, expert) -> name
  };

  void finish_lora(const Group& group, AdapterFile& out);
  void finish_moe(const Group& group, AdapterFile& out);
  LoraModule factors(const Group& group, int64_t expert) const;
  Tensor matrix(const std::string& name) const;
  std::optional<double> alpha_tensor(const Group& group);
  void set_alpha(LoraModule& lora, std::optional<double> from_tensor);
  bool taken(const std::string& module, const Group& group);
  [[noreturn]] void fail(const std::string& tensor, const std::string& what) const;

  std::shared_ptr<const SafetensorsFile> file_;
  const PeftConfig* config_;
  AdapterFileOptions options_;
  std::map<std::pair<std::string, std::string>, Group> groups_;  // by (prefix, module)
  std::map<std::string, std::string> taken_;                     // module -> prefix it came with
  size_t without_alpha_ = 0, twice_ = 0, last_alphas_ = 0;
};

}  // namespace icedit
