#include "io/whole_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cerrno>

#include "io/files_write.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

// "folder/" and ".." have no name of their own.
Path named(const Path& target) {
  const Path last = target.filename();
  if (last.empty()) return target.parent_path();
  return last == "." || last == ".." ? same_place(target) : target;
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

Unfinished::Unfinished(const Path& target) : target_(named(target)), path_(target_) {
  if (is_device(target)) return;
  make_folder_of(target_);
  remove_left_overs(folder_of(target_));
  // None: between the two another process took it for left over.
  while (!lock_) {
    hidden_ = hidden_name(target_, kUnfinished);
    if (::mkdir(hidden_.c_str(), 0777) == 0)
      lock_ = ProcessLock::on_folder(hidden_);
    else if (errno != EEXIST)
      throw_write_error(target_, "making a file there", errno);
  }
  path_ = hidden_ / target_.filename();
}

Unfinished::~Unfinished() {
  std::error_code ignored;
  if (!hidden_.empty()) fs::remove_all(hidden_, ignored);
}

WholeFolder::WholeFolder(const Path& target) : Unfinished(target) {
  if (::mkdir(path_.c_str(), 0777) != 0) throw_write_error(target_, "making the folder", errno);
}

void WholeFolder::finish(Existing existing) {
  for (const auto& entry : fs::recursive_directory_iterator(path_)) sync_to_disk(entry.path());
  sync_to_disk(path_);
  const auto renamed = [&](unsigned flags) {
    return ::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target_.c_str(), flags) == 0;
  };
  struct stat about = {};
  const bool replaces = existing == Existing::kReplace && ::lstat(target_.c_str(), &about) == 0;
  if (!renamed(replaces ? RENAME_EXCHANGE : RENAME_NOREPLACE)) {
    if (errno != EINVAL && errno != ENOSYS) throw_write_error(target_, "renaming", errno);
    // A file system that can do neither. Between the two renames the target is not there.
    const Path old = path_.string() + ".old";
    if (replaces && ::rename(target_.c_str(), old.c_str()) != 0)
      throw_write_error(target_, "renaming", errno);
    if (!renamed(0)) {
      const int reason = errno;
      if (replaces) ::rename(old.c_str(), target_.c_str());
      throw_write_error(target_, "renaming", reason);
    }
  }
  std::error_code ignored;
  fs::remove_all(hidden_, ignored);
  sync_to_disk(folder_of(target_));
}

Path NewFiles::put(const Path& made, IfTaken if_taken) const {
  if (hidden_.empty()) return made;
  const Path target = target_.parent_path() / made.lexically_relative(hidden_);
  make_folder_of(target);
  return put_in_place(made, target, if_taken);
}

std::error_code remove_whole(const Path& folder) {
  const Path away = hidden_name(folder, kUnfinished);
  std::error_code error;
  fs::rename(folder, away, error);
  if (!error) fs::remove_all(away, error);
  return error;
}

}  // namespace icedit
