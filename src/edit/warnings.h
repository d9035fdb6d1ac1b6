#pragma once
// What is odd about an edit and would still run.
#include <string>

#include "edit/residency.h"

namespace icedit {

// "" or what is odd about the adapters of an edit: none, though the model has none merged either
// (unless `none_is_meant`); or one that is merged already.
std::string adapter_warning(const Residency& residency, bool none_is_meant);

// "" or that the width is far from the one that the model is made for.
std::string width_warning(int64_t width, const ModelDefaults& defaults);

}  // namespace icedit
