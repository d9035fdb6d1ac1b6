#pragma once
// Compares an adapter with a model: which of its modules go on which Linear. Private to inject.cpp.
#include "adapters/inject.h"

namespace icedit {

struct FittedLora {
  LoraModule lora;  // a padded where the Linear has more inputs
  Linear linear;
};
struct FittedMoe {
  MoeModule moe;
  Linear linear;
};
struct FittedAdapter {
  std::vector<FittedLora> lora;
  std::vector<FittedMoe> moe;
  std::vector<std::string> unmatched;  // tensors left out, with allow_partial
};

// Throws as attach_adapter does; logs what is padded and, with allow_partial, what is left out.
FittedAdapter fit_adapter(const LinearList& linears, const AdapterFile& file,
                          const AttachOptions& options);

}  // namespace icedit
