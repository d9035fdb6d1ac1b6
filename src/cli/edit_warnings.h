#pragma once
// What was asked for and does nothing, or does no good.
#include <string>
#include <vector>

#include "cli/edit_jobs.h"

namespace icedit::cli {

// A line each: a width far from the one that the model is made for, --preview beyond the last step,
// --quality where only PNGs are written.
std::vector<std::string> settings_warnings(const EditOptions& options,
                                           const std::vector<EditJob>& jobs,
                                           const ModelDefaults& defaults);

}  // namespace icedit::cli
