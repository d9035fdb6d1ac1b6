#pragma once
// `icedit edit --dry-run`: what would be loaded from where, how large it is, and what would be
// made. Loads no weights.
#include <vector>

#include "cli/edit_jobs.h"

namespace icedit::cli {

// Prints to stdout: a table, or JSON with --json.
void dry_run(const EditOptions& options, const std::vector<EditJob>& jobs, const ModelFiles& files,
             int threads);

// What the largest of the edits takes, by the pictures' sizes.
EditSize largest_edit(const std::vector<EditJob>& jobs, const EditOptions& options,
                      const Residency& residency);

}  // namespace icedit::cli
