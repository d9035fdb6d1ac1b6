#pragma once
// `icedit edit --dry-run`: what would be loaded from where, how large it is, and what would be
// made. Loads no weights.
#include <vector>

#include "cli/edit_jobs.h"

namespace icedit::cli {

// Prints to stdout: a table, or JSON with --json.
void dry_run(const EditOptions& options, const std::vector<EditJob>& jobs, const ModelFiles& files,
             int threads);

}  // namespace icedit::cli
