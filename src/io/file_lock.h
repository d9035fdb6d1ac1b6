#pragma once
// One process at a time: a lock on a file that is made for it, and goes with it.
#include <optional>

#include "io/files.h"

namespace icedit {

// The system lets a lock go when its process ends, however it ends, so the file that a killed one
// leaves behind holds up nobody.
class FileLock {
 public:
  // Nothing where another has it. A file system without locks refuses nobody. Throws IoError.
  static std::optional<FileLock> take(const Path& file);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;

 private:
  FileLock(Path file, int fd) : file_(std::move(file)), fd_(fd) {}

  Path file_;
  int fd_;
};

}  // namespace icedit
