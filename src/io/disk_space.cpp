#include "io/disk_space.h"

#include <sys/statvfs.h>

#include <limits>

#include "base/error.h"
#include "base/progress.h"

namespace icedit {

uint64_t free_disk_bytes(const Path& path) {
  std::error_code error;
  Path place = std::filesystem::absolute(path, error);
  if (error) place = path;
  while (!std::filesystem::exists(place, error) && place.has_relative_path())
    place = place.parent_path();
  struct statvfs about = {};
  if (::statvfs(place.c_str(), &about) != 0 || about.f_blocks == 0)
    return std::numeric_limits<uint64_t>::max();
  return uint64_t{about.f_bavail} * about.f_frsize;
}

void expect_free_space(const Path& path, uint64_t needed, const std::string& remedy) {
  const uint64_t free = free_disk_bytes(path);
  if (free >= needed) return;
  throw IoError(str(path.string(), " needs ", bytes_text(double(needed)), ", but ",
                    bytes_text(double(free)), " are free there; ", remedy, "."));
}

}  // namespace icedit
