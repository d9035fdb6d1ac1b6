#include "io/whole_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUnfinished = ".icedit-new";  // the end of its name

[[noreturn]] void fail(const Path& path, const std::string& what, int error) {
  throw IoError(str(path.string(), ": ", what, " failed: ", std::strerror(error)));
}

Path parent_of(const Path& path) {
  return path.has_parent_path() ? path.parent_path() : Path(".");
}

// ".step-12.3456-1.icedit-new"
Path name_beside(const Path& target) {
  static std::atomic<int> count{0};
  // Cut, as a name of 255 bytes leaves no room for the ending.
  const std::string name = target.filename().string().substr(0, 100);
  return parent_of(target) / str(".", name, ".", ::getpid(), "-", ++count, kUnfinished);
}

// Some file systems cannot sync a folder.
void sync(const Path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

void remove_left_overs(const Path& folder) {
  std::error_code error;
  std::vector<Path> unfinished;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with('.') && name.ends_with(kUnfinished)) unfinished.push_back(it->path());
  }
  for (const Path& path : unfinished) {
    const auto lock = ProcessLock::on_folder(path);
    if (lock && lock->is_sure()) fs::remove_all(path, error);
  }
}

}  // namespace

WholeFolder::WholeFolder(const Path& target)
    : target_(target.filename().empty() ? target.parent_path() : target) {
  const Path parent = parent_of(target_);
  std::error_code error;
  fs::create_directories(parent, error);
  if (error) fail(parent, "making the folder", error.value());
  remove_left_overs(parent);
  // None: between the two another process took it for left over.
  while (!lock_) {
    path_ = name_beside(target_);
    if (::mkdir(path_.c_str(), 0777) == 0)
      lock_ = ProcessLock::on_folder(path_);
    else if (errno != EEXIST)
      fail(path_, "making the folder", errno);
  }
}

WholeFolder::~WholeFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void WholeFolder::finish(Existing existing) {
  for (const auto& entry : fs::recursive_directory_iterator(path_)) sync(entry.path());
  sync(path_);
  const auto renamed = [&](unsigned flags) {
    return ::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target_.c_str(), flags) == 0;
  };
  struct stat about = {};
  const bool replaces = existing == Existing::kReplace && ::lstat(target_.c_str(), &about) == 0;
  if (!renamed(replaces ? RENAME_EXCHANGE : RENAME_NOREPLACE)) {
    if (errno != EINVAL && errno != ENOSYS) fail(target_, "renaming", errno);
    // A file system that can do neither. Between the two renames the target is not there.
    const Path old = name_beside(target_);
    if (replaces && ::rename(target_.c_str(), old.c_str()) != 0) fail(target_, "renaming", errno);
    if (!renamed(0)) {
      const int reason = errno;
      if (replaces) ::rename(old.c_str(), target_.c_str());
      fail(target_, "renaming", reason);
    }
    std::error_code ignored;
    if (replaces) fs::remove_all(old, ignored);
  }
  sync(parent_of(target_));
}

std::error_code remove_whole(const Path& folder) {
  const Path away = name_beside(folder);
  std::error_code error;
  fs::rename(folder, away, error);
  if (!error) fs::remove_all(away, error);
  return error;
}

}  // namespace icedit
