#pragma once
// Where the edits are written.
#include <vector>

#include "cli/edit_jobs.h"

namespace icedit::cli {

bool is_picture_name(const Path& file);  // by its extension, one that can be read and written

// Fills in every job's outputs:
//   its own "output"          that file, below --output-dir or a folder given as -o
//   -o FILE                   that file, where there is one job
//   -o FOLDER, --output-dir   FOLDER/INPUT'S NAME; a name that several jobs share gets -1, -2, ...
//   nothing                   INPUT-edit-K.png in the working folder, with the first K that is free
// and for several images of one job -1, -2, ... behind all that. Throws UsageError.
void name_outputs(std::vector<EditJob>& jobs, const EditOptions& options);

// Throws UsageError where a file exists (unless `overwrite`), two outputs are one, an output is
// another job's input, or the extension is none that can be written; IoError where the folder
// cannot be made or written to.
void check_outputs(const std::vector<EditJob>& jobs, bool overwrite);

}  // namespace icedit::cli
