#include "io/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace icedit {
namespace {

// Whoever had the lock before may have removed the file after we opened it: then another file, or
// none, has its name by now.
bool has_its_name(int fd, const Path& file) {
  struct stat held = {}, named = {};
  return ::fstat(fd, &held) == 0 && ::stat(file.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

}  // namespace

std::optional<FileLock> FileLock::take(const Path& file) {
  for (;;) {
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
      throw IoError(str(file.string(), " cannot be made, to lock it: ", std::strerror(errno), "."));
    int locked = -1;
    do {
      locked = ::flock(fd, LOCK_EX | LOCK_NB);
    } while (locked != 0 && errno == EINTR);
    if (locked != 0 && errno == EWOULDBLOCK) {
      ::close(fd);
      return std::nullopt;
    }
    if (locked != 0 || has_its_name(fd, file)) return FileLock(file, fd);
    ::close(fd);
  }
}

FileLock::~FileLock() {
  if (fd_ < 0) return;
  ::unlink(file_.c_str());  // while it is locked, so that nobody's lock goes with it
  ::close(fd_);
}

FileLock::FileLock(FileLock&& other) noexcept
    : file_(std::move(other.file_)), fd_(std::exchange(other.fd_, -1)) {}

}  // namespace icedit
