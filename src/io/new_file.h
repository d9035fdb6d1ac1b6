#pragma once
// What a file does where its name is taken. Whether it is, is found out by taking it, so that of
// two processes that want one name at the same moment each gets its own.
#include <functional>
#include <string_view>

#include "io/files.h"

namespace icedit {

enum class IfTaken {
  kReplace,
  kNextName  // "out-1.png" beside "out.png", "out-2.png" beside "out-1.png"; nothing is replaced
};

// write_atomically, which replaces, with the choice. Returns the name that the file got.
Path write_atomically(const Path& path, const std::function<void(std::ostream&)>& write,
                      IfTaken if_taken);
Path write_text_atomically(const Path& path, std::string_view text, IfTaken if_taken);

// Files in the making, for what writes files by itself: `path()` stands for the target, in a hidden
// folder beside it. What was not put in place is removed.
class NewFiles {
 public:
  explicit NewFiles(const Path& target);  // a file or a folder; throws IoError
  ~NewFiles();
  NewFiles(const NewFiles&) = delete;
  NewFiles& operator=(const NewFiles&) = delete;

  const Path& path() const { return path_; }
  // Puts `made`, path() or a file below it, where it stands for. Returns the name that it got.
  Path put(const Path& made, IfTaken if_taken) const;

 private:
  Path beside_, hidden_, path_;
};

}  // namespace icedit
