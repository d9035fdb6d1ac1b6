#pragma once
// Folders and files that are made whole: built in a hidden folder beside their place, synced, then
// renamed, so that whatever has the name holds everything.
#include <optional>
#include <system_error>

#include "io/files.h"
#include "io/process_lock.h"

namespace icedit {

// Where something comes to be. What was not put in place is removed.
class Unfinished {
 public:
  const Path& path() const { return path_; }  // stands for the target
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;

 protected:
  // Makes the parents too, and removes what processes that are no more left unfinished beside it.
  // Throws IoError.
  explicit Unfinished(const Path& target);
  ~Unfinished();

  Path target_, hidden_, path_;      // hidden_: none for a device, which is written to as it is
  std::optional<ProcessLock> lock_;  // says that the folder is not left over
};

enum class Existing { kRefuse, kReplace };

class WholeFolder : public Unfinished {
 public:
  explicit WholeFolder(const Path& target);  // path() is there, to be filled; throws IoError
  // What stood at the target is replaced in one operation, where the file system can do that, and
  // is removed. Throws IoError; what stood there is then as it was.
  void finish(Existing existing);
};

// For what writes files by itself: a file, or a folder of files.
class NewFiles : public Unfinished {
 public:
  explicit NewFiles(const Path& target) : Unfinished(target) {}
  // Puts `made`, path() or a file below it, where it stands for. Returns the name that it got.
  Path put(const Path& made, IfTaken if_taken) const;
};

// It loses its name first, so that no half of it stands there.
std::error_code remove_whole(const Path& folder);

}  // namespace icedit
