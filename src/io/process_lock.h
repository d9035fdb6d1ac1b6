#pragma once
// One process at a time in a place. The system lets a lock go when its process ends, however it
// ends, so that one that was killed holds up nobody. On a network's file system a lock is known to
// the processes of this machine. All throw IoError: the place cannot be opened.
#include <optional>

#include "io/files.h"

namespace icedit {

class ProcessLock {
 public:
  // None: another process, or another object of this one, holds the folder, or has removed it.
  static std::optional<ProcessLock> on_folder(const Path& folder);
  // On a file that is made for the lock, and goes with it. None: another holds it.
  static std::optional<ProcessLock> on_new_file(const Path& file);
  ProcessLock(ProcessLock&& other) noexcept;
  ProcessLock& operator=(ProcessLock&& other) noexcept;
  ~ProcessLock();

  // False: the file system knows no locks. It refuses nobody then.
  bool is_sure() const { return sure_; }

 private:
  ProcessLock(Path path, int flags);
  bool has_its_name() const;

  Path path_;
  bool made_ = false;  // the file is to be removed
  int fd_;             // -1: nothing there
  bool sure_ = false, refused_ = false;
};

}  // namespace icedit
