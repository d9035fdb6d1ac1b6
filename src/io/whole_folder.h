#pragma once
// Folders that are made whole: built under another name beside their place, synced, then renamed,
// so that whatever has the name holds everything.
#include <optional>
#include <system_error>

#include "io/files.h"

namespace icedit {

// One process's hold on a folder. It ends with the process, however that ends, and leaves nothing
// behind. On a network's file system it is known to the processes of this machine.
class FolderLock {
 public:
  // None: another holds it, or has removed it. Throws IoError: the folder cannot be opened.
  static std::optional<FolderLock> take(const Path& folder);
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;
  ~FolderLock();

  bool is_sure() const { return sure_; }  // false: the file system knows no locks

 private:
  FolderLock(int fd, bool sure) : fd_(fd), sure_(sure) {}
  int fd_;
  bool sure_;
};

enum class Existing { kRefuse, kReplace };

// Removed again unless it was finished.
class WholeFolder {
 public:
  // Makes the parents too, and removes what processes that are no more left unfinished beside it.
  // Throws IoError.
  explicit WholeFolder(const Path& target);
  ~WholeFolder();
  WholeFolder(const WholeFolder&) = delete;
  WholeFolder& operator=(const WholeFolder&) = delete;

  const Path& path() const { return path_; }  // to be filled
  // What stood at the target is replaced in one operation, where the file system can do that, and
  // is removed. Throws IoError; what stood there is then as it was.
  void finish(Existing existing);

 private:
  Path target_, path_;
  std::optional<FolderLock> lock_;  // says that the folder is not left over
};

// It loses its name first, so that no half of it stands there.
std::error_code remove_whole(const Path& folder);

}  // namespace icedit
