#pragma once
// Questions about paths that a user typed: a name that no file can have (too long, say) is simply
// not there.
#include "base/error.h"
#include "io/files.h"
#include "io/hub.h"

namespace icedit::cli {

inline bool is_there(const Path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

// The same of a name: a link to nothing takes it too.
inline bool is_taken(const Path& path) {
  std::error_code ignored;
  return is_there(path) || std::filesystem::is_symlink(path, ignored);
}

inline bool is_folder(const Path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

// Throws UsageError: it is a URL; it is there, and may not be overwritten. `flag`: the one that
// names it.
inline void expect_free(const Path& path, bool force, const char* flag = "-o",
                        bool may_force = true) {
  if (is_url(path.string()))
    throw UsageError(str(path.string(), " is a URL; only files are written: name one with ", flag));
  if (force || !is_taken(path)) return;
  throw UsageError(str(path.string(), " exists already; give another name with ", flag,
                       may_force ? ", or --force" : ""));
}

}  // namespace icedit::cli
