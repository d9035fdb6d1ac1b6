#include "io/process_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace icedit {

ProcessLock::ProcessLock(Path path, int flags)
    : path_(std::move(path)), fd_(::open(path_.c_str(), flags | O_CLOEXEC, 0666)) {
  if (fd_ < 0 && errno == ENOENT && (flags & O_CREAT) == 0) return;
  if (fd_ < 0) {
    throw IoError(
        str(path_.string(), " cannot be opened, to lock it: ", std::strerror(errno), "."));
  }
  int result = -1;
  do {
    result = ::flock(fd_, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  sure_ = result == 0;
  refused_ = !sure_ && errno == EWOULDBLOCK;
}

ProcessLock::~ProcessLock() {
  if (fd_ < 0) return;
  if (made_) ::unlink(path_.c_str());  // while it is locked, so that nobody's lock goes with it
  ::close(fd_);
}

ProcessLock::ProcessLock(ProcessLock&& other) noexcept
    : path_(std::move(other.path_)),
      made_(other.made_),
      fd_(std::exchange(other.fd_, -1)),
      sure_(other.sure_) {}

ProcessLock& ProcessLock::operator=(ProcessLock&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(made_, other.made_);
  std::swap(fd_, other.fd_);
  std::swap(sure_, other.sure_);
  return *this;
}

// Whoever had the lock before may have removed the place after we opened it: then another, or none,
// has its name by now.
bool ProcessLock::has_its_name() const {
  struct stat held = {}, named = {};
  return ::fstat(fd_, &held) == 0 && ::stat(path_.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

std::optional<ProcessLock> ProcessLock::on_folder(const Path& folder) {
  ProcessLock lock(folder, O_RDONLY | O_DIRECTORY);
  if (lock.refused_ || !lock.has_its_name()) return std::nullopt;
  return lock;
}

std::optional<ProcessLock> ProcessLock::on_new_file(const Path& file) {
  for (;;) {
    ProcessLock lock(file, O_RDWR | O_CREAT);
    if (lock.refused_) return std::nullopt;
    if (lock.sure_ && !lock.has_its_name()) continue;
    lock.made_ = true;
    return lock;
  }
}

}  // namespace icedit
