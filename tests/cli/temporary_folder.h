#pragma once
// A folder that lasts as long as one test, with pictures in it and names as the command line takes
// them.
#include <string>

#include "io/image.h"
#include "io/temporary_folder.h"

namespace icedit {

class CommandFolder : public TemporaryFolder {
 public:
  std::string operator/(const std::string& name) const { return (path() / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    return TemporaryFolder::write(name, text).string();
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
    write_image(path() / name, image);
    return *this / name;
  }
};

}  // namespace icedit
