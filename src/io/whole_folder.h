#pragma once
// Folders that are made whole: built under another name beside their place, synced, then renamed,
// so that whatever has the name holds everything.
#include <optional>
#include <system_error>

#include "io/files.h"
#include "io/process_lock.h"

namespace icedit {

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
  std::optional<ProcessLock> lock_;  // says that the folder is not left over
};

// It loses its name first, so that no half of it stands there.
std::error_code remove_whole(const Path& folder);

}  // namespace icedit
