#pragma once
// An adapter's modules in kohya's terms. Private to save.cpp.
#include <string>
#include <utility>
#include <vector>

#include "adapters/adapter_file.h"

namespace icedit {

// Tensors lora_unet_*.lora_down.weight, .lora_up.weight, .alpha. Parts that BFL fuses share one
// module: their factors are stacked (blocks on the diagonal of lora_up), or shared where they have
// one A already. Parts without an adapter get rows of zeros. Throws UsageError for a module that
// FLUX does not have.
std::vector<std::pair<std::string, Tensor>> kohya_tensors(
    const std::vector<AdapterModule>& modules);

}  // namespace icedit
