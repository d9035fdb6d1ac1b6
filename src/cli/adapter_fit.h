#pragma once
#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "io/checkpoint.h"

namespace icedit::cli {

// The adapter's modules for which the transformer has no layer, or one of another shape, a line
// each. Reads shapes only.
std::vector<std::string> misfits(const AdapterFile& adapter, const Checkpoint& transformer);

}  // namespace icedit::cli
