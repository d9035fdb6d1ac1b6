#pragma once
// Questions about paths that a user typed: a name that no file can have (too long, say) is simply
// not there.
#include "io/files.h"

namespace icedit::cli {

inline bool is_there(const Path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

inline bool is_folder(const Path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

// The same for two spellings of one place, which need not exist.
inline Path same_place(const Path& path) {
  std::error_code error;
  const Path canonical = std::filesystem::weakly_canonical(path, error);
  return error ? path.lexically_normal() : canonical;
}

}  // namespace icedit::cli
