#pragma once
// A folder that lasts as long as one test, and pictures in it.
#include <stdlib.h>

#include <fstream>
#include <string>

#include "io/image.h"

namespace icedit {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "icedit_cli_XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const Path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

  std::string write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
    return (path_ / name).string();
  }
  // A gradient of colours.
  std::string picture(const std::string& name, int width = 32, int height = 32) const {
    Image image(width, height);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        image.at(x, y)[0] = static_cast<uint8_t>(255 * x / width);
        image.at(x, y)[1] = static_cast<uint8_t>(255 * y / height);
        image.at(x, y)[2] = 90;
      }
    }
    write_image(path_ / name, image);
    return (path_ / name).string();
  }

 private:
  Path path_;
};

// The message of the E that `call` throws; "" when it throws nothing.
template <class E, class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const E& error) {
    return error.what();
  }
  return "";
}

}  // namespace icedit
