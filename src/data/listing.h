#pragma once
// Which files there are, by what names: what lies in folders, and what globs match.
#include <string>
#include <vector>

#include "io/files.h"

namespace icedit {

// What no one put there as data, as for the datasets library: names that begin with '.' (macOS's
// ._NAME, .ipynb_checkpoints, .cache) or "__" (__MACOSX).
bool is_hidden(const Path& name);

// ".parquet", also of X.PARQUET.
std::string extension_of(const Path& file);

// All .parquet files below a folder and the folders that are linked from it, sorted; not what
// is_hidden below it. A link to nothing counts: opening it says so. Throws IoError: a folder cannot
// be listed.
std::vector<Path> parquet_below(const Path& folder);

// A POSIX glob with ~ and {a,b}; sorted. Where nothing matches, the same with brackets and braces
// as they stand: they may be part of a name.
std::vector<Path> glob_files(const std::string& pattern);

// The file's name in Unicode's composed form: macOS writes the decomposed one.
std::string composed_name(const Path& name);
// `path`, or where it is not there the file beside it whose name is the same text in another form.
Path in_either_form(const Path& path);

}  // namespace icedit
