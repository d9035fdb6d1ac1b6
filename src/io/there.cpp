#include "io/there.h"

#include "base/error.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

bool is_something(const Path& path, fs::file_status (*status)(const Path&, std::error_code&)) {
  std::error_code error;
  if (fs::exists(status(path, error))) return true;
  for (const std::errc unknown : {std::errc::permission_denied, std::errc::io_error}) {
    if (error != unknown) continue;
    throw IoError(str(path.string(), " cannot be looked at: ", error.message(),
                      ". Is a folder on the way to it another user's?"));
  }
  return false;
}

}  // namespace

bool is_there(const Path& path) {
  return is_something(path, [](const Path& p, std::error_code& e) { return fs::status(p, e); });
}

bool is_taken(const Path& path) {
  return is_something(path,
                      [](const Path& p, std::error_code& e) { return fs::symlink_status(p, e); });
}

}  // namespace icedit
