#pragma once
#include <string>

#include "edit/residency.h"

namespace icedit::cli {

// "" or what is odd about the adapters of an edit: none, though the model has none merged either
// (unless `none_is_meant`); or one that is merged already.
std::string adapter_warning(const Residency& residency, bool none_is_meant);

}  // namespace icedit::cli
