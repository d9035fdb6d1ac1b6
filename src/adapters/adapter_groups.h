#pragma once
// From an adapter file's tensors to its modules. Private to adapter_file.cpp.
#include <memory>
#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "adapters/adapter_keys.h"
#include "adapters/peft_config.h"
#include "io/safetensors.h"

namespace icedit {

struct AdapterTensor {
  std::string name;
  AdapterKey key;
};

// Fills out.modules, layout and notes: tensors are grouped by module, checked against each other,
// and what BFL stacks is split. `config`: what is said about alpha beside them; or null.
void group_modules(const std::shared_ptr<const SafetensorsFile>& file,
                   const std::vector<AdapterTensor>& tensors, const PeftConfig* config,
                   const AdapterFileOptions& options, AdapterFile& out);

}  // namespace icedit
