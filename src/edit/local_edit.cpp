#include "edit/local_edit.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "edit/mask.h"

namespace icedit {
namespace {

constexpr int kLeastSide = 16;

// Grows [begin, begin + size) to `wanted` around its middle, within 0 ... limit.
void grow(int& begin, int& size, int wanted, int limit) {
  wanted = std::clamp(wanted, size, limit);
  begin = std::clamp(begin - (wanted - size) / 2, 0, limit - wanted);
  size = wanted;
}

Box box_of_white(const Image& mask) {
  int left = mask.width, top = mask.height, right = -1, bottom = -1;
  for (int y = 0; y < mask.height; ++y) {
    const uint8_t* row = mask.at(0, y);
    for (int x = 0; x < mask.width; ++x) {
      if (!is_white(row[x])) continue;
      left = std::min(left, x), right = std::max(right, x);
      top = std::min(top, y), bottom = std::max(bottom, y);
    }
  }
  return {left, top, right - left + 1, bottom - top + 1};
}

// 0 at a side of the box that is no side of the picture, 1 from `ramp` pixels on.
float weight_at(int i, int begin, int size, int limit, int ramp) {
  float weight = 1;
  if (begin > 0) weight = std::min(weight, (float(i) + 0.5F) / float(ramp));
  if (begin + size < limit) weight = std::min(weight, (float(size - i) - 0.5F) / float(ramp));
  return std::clamp(weight, 0.0F, 1.0F);
}

}  // namespace

std::optional<Box> parse_box(const std::string& text) {
  if (text == "auto") return Box{};
  int numbers[4] = {};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (int i = 0; i < 4; ++i) {
    if (i > 0 && (at == end || *at++ != ',')) return {};
    while (at != end && *at == ' ') ++at;
    const auto [stop, error] = std::from_chars(at, end, numbers[i]);
    if (error != std::errc() || numbers[i] < 0) return {};
    at = stop;
  }
  if (at != end || numbers[2] == 0 || numbers[3] == 0) return {};
  return Box{numbers[0], numbers[1], numbers[2], numbers[3]};
}

std::string box_text(const Box& box) {
  if (box.around_mask()) return "auto";
  return str(box.x, ",", box.y, ",", box.width, ",", box.height);
}

Box resolved_box(const Box& asked, Size picture, const Image* mask, int least) {
  if (asked.around_mask()) {
    if (mask == nullptr) {
      throw UsageError(
          "--region auto is the box around a mask's white, but there is no mask; give one with "
          "--mask, or the box as X,Y,W,H");
    }
    Box box = box_of_white(*mask);
    const int margin = std::max(box.width, box.height) / 2;  // both sides together
    grow(box.x, box.width, std::max(box.width + margin, least), picture.width);
    grow(box.y, box.height, std::max(box.height + margin, least), picture.height);
    return box;
  }
  const int64_t right = int64_t{asked.x} + asked.width, bottom = int64_t{asked.y} + asked.height;
  if (right > picture.width || bottom > picture.height) {
    throw UsageError(str("--region ", box_text(asked), " ends at ", right, ",", bottom,
                         ", but the picture has ", picture.width, "x", picture.height,
                         " pixels; give X,Y,W,H within it"));
  }
  if (asked.width < kLeastSide || asked.height < kLeastSide) {
    throw UsageError(str("--region ", box_text(asked), " is ", asked.width, "x", asked.height,
                         " pixels, expected at least ", kLeastSide, " a side"));
  }
  return asked;
}

Image crop(const Image& image, const Box& box) {
  return crop(image, box.x, box.y, box.x + box.width, box.y + box.height);
}

Image put_back(const Image& whole, const Image& part, const Box& box) {
  Image out = whole;
  const int ramp = std::max(1, std::min(box.width, box.height) / 16);
  for (int y = 0; y < box.height; ++y) {
    const float across = weight_at(y, box.y, box.height, whole.height, ramp);
    for (int x = 0; x < box.width; ++x) {
      const float weight = std::min(across, weight_at(x, box.x, box.width, whole.width, ramp));
      uint8_t* to = out.at(box.x + x, box.y + y);
      const uint8_t* from = part.at(x, y);
      for (int c = 0; c < 3; ++c)
        to[c] = uint8_t(std::lround(float(to[c]) + weight * (float(from[c]) - float(to[c]))));
    }
  }
  return out;
}

}  // namespace icedit
