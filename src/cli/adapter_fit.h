#pragma once
#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "edit/residency.h"
#include "io/checkpoint.h"

namespace icedit::cli {

// The adapter's modules for which the transformer has no layer, or one of another shape, a line
// each. Reads shapes only.
std::vector<std::string> misfits(const AdapterFile& adapter, const Checkpoint& transformer);

// "" or what is odd about the adapters of an edit: none, though the model has none merged either
// (unless `none_is_meant`); or one that is merged already.
std::string adapter_warning(const Residency& residency, bool none_is_meant);

}  // namespace icedit::cli
