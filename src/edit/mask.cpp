#include "edit/mask.h"

#include <algorithm>
#include <cstdlib>

namespace icedit {

bool has_white(const Image& mask) {
  return std::any_of(mask.pixels.begin(), mask.pixels.end(), is_white);
}

bool is_erased_copy(const Image& painted, const Image& source) {
  if (painted.channels != 4 || source.channels != 3) return false;
  if (painted.width != source.width || painted.height != source.height) return false;
  constexpr int kNear = 16;  // a lossy format stood between the two
  size_t holes = 0, shown = 0, same = 0, as_first = 0;
  const uint8_t* first = nullptr;
  const auto near = [](const uint8_t* a, const uint8_t* b) {
    return std::abs(a[0] - b[0]) <= kNear && std::abs(a[1] - b[1]) <= kNear &&
           std::abs(a[2] - b[2]) <= kNear;
  };
  for (size_t i = 0; i < source.pixels.size() / 3; ++i) {
    const uint8_t* pixel = &painted.pixels[4 * i];
    if (pixel[3] == 0) ++holes;
    if (pixel[3] != 255) continue;
    if (first == nullptr) first = pixel;
    ++shown;
    same += near(pixel, &source.pixels[3 * i]);
    as_first += near(pixel, first);
  }
  // White paint over a white background is no copy of it.
  return holes > 0 && shown > 0 && same * 20 >= shown * 19 && as_first < shown;
}

}  // namespace icedit
