#pragma once
// Where the edits are written.
#include <vector>

#include "cli/edit_jobs.h"

namespace icedit::cli {

inline constexpr const char* kStandardOutput = "-";  // -o -: one PNG to stdout

// "out.png", 3 -> "out.preview-003.png".
Path preview_name(const Path& output, int64_t step);

// Whether a name is one that we give, to an edit or a preview of a picture which is there too:
// "a-edit-1.png" beside "a.jpg".
bool is_our_name(const Path& file);

// Fills in every job's outputs:
//   its own "output"          that file, below --output-dir or a folder given as -o; a relative one
//                             may not leave it
//   -o FILE                   that file, where there is one job
//   -o -                      stdout, where there is one job of one image
//   -o FOLDER, --output-dir   FOLDER/INPUT'S NAME; a name that several jobs share gets -1, -2, ...
//   nothing                   INPUT-edit-K.png in the working folder, with the first K that is free
// and for several images of one job -1, -2, ... behind all that. Throws UsageError.
void name_outputs(std::vector<EditJob>& jobs, const EditOptions& options);

// Throws UsageError where a file exists (unless --force or --skip-existing), two outputs are one,
// an output is another job's input, the extension is none that can be written, or the name is too
// long for the file system; IoError where the folder cannot be made or written to.
void check_outputs(const std::vector<EditJob>& jobs, const EditOptions& options);

// The same of the previews, which never replace a picture that is read either.
// `steps`: of a job that says nothing.
void check_previews(const std::vector<EditJob>& jobs, const EditOptions& options, int64_t steps);

}  // namespace icedit::cli
