#include "io/folder_link.h"

#include "base/log.h"
#include "base/str.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kLongestName = 255;

// What a file holds that stands in for a link; "" for any other file.
std::string name_in(const Path& file) {
  std::error_code error;
  if (fs::symlink_status(file, error).type() != fs::file_type::regular) return "";
  if (fs::file_size(file, error) > kLongestName + 1 || error) return "";
  std::string name = read_file(file);
  if (name.ends_with('\n')) name.pop_back();
  const bool plain =
      !name.empty() && name.find_first_of("/\n\0", 0, 3) == name.npos && !name.starts_with('.');
  return plain && fs::is_directory(file.parent_path() / name, error) ? name : "";
}

}  // namespace

void link_folder(const Path& link, const std::string& name) {
  const Path fresh = link.parent_path() / str(".", link.filename().string(), ".new");
  std::error_code error, ignored;
  fs::remove(fresh, ignored);
  fs::create_directory_symlink(name, fresh, error);
  if (!error) fs::rename(fresh, link, error);
  if (!error) return;
  fs::remove(fresh, ignored);
  if (!fs::is_regular_file(link, ignored))
    log::warn(str(link.string(), " cannot be a link there (", error.message(),
                  "); it is a file with the folder's name"));
  write_text_atomically(link, name + "\n");
}

std::string linked_folder(const Path& link) {
  std::error_code error;
  const Path name = fs::read_symlink(link, error);
  return error ? name_in(link) : name.string();
}

Path through_folder_links(const Path& path) {
  Path at;
  for (const Path& part : path) {
    at /= part;
    if (const std::string name = name_in(at); !name.empty()) at.replace_filename(name);
  }
  return at;
}

}  // namespace icedit
