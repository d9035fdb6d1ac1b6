#pragma once
// Questions about paths that a user typed.
#include "base/error.h"
#include "io/files.h"
#include "io/hub.h"

namespace icedit::cli {

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

inline IfTaken if_taken(bool force) {
  return force ? IfTaken::kReplace : IfTaken::kNextName;
}

// A name that was free when it was looked at, and then was not.
inline std::string taken_meanwhile(const Path& wanted, const Path& got) {
  return str(wanted.string(), " was made by another program meanwhile; what was to stand there is ",
             "kept as ", got.string());
}

// Throws UsageError of that.
inline void expect_name(const Path& wanted, const Path& got) {
  if (same_place(got) != same_place(wanted)) throw UsageError(taken_meanwhile(wanted, got));
}

}  // namespace icedit::cli
