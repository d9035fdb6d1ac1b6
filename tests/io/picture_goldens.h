#pragma once
// Pictures among the goldens: uint8 tensors [height, width] or [height, width, channels], and
// files.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/str.h"
#include "io/image.h"
#include "io/safetensors.h"

namespace icedit {

inline Path golden_path(const std::string& relative) {
  return Path(ICEDIT_GOLDENS) / relative;
}

inline Image golden_image(const SafetensorsFile& file, const std::string& name) {
  const std::vector<int64_t>& shape = file.info(name).shape;
  Image image(int(shape.at(1)), int(shape.at(0)), shape.size() == 3 ? int(shape[2]) : 1);
  const Bytes bytes = file.bytes(name);
  if (bytes.size() != image.pixels.size()) throw std::runtime_error(name + " is not uint8");
  std::memcpy(image.pixels.data(), bytes.data(), bytes.size());
  return image;
}

inline ::testing::AssertionResult same_pixels(const Image& got, const Image& want) {
  const auto size = [](const Image& i) { return str(i.width, "x", i.height, "x", i.channels); };
  if (size(got) != size(want))
    return ::testing::AssertionFailure() << "got " << size(got) << ", want " << size(want);
  int largest = 0;
  size_t count = 0, first = 0;
  for (size_t i = got.pixels.size(); i-- > 0;) {
    const int distance = std::abs(got.pixels[i] - want.pixels[i]);
    if (distance == 0) continue;
    largest = std::max(largest, distance);
    first = i;
    ++count;
  }
  if (count == 0) return ::testing::AssertionSuccess();
  const size_t pixel = first / want.channels;
  return ::testing::AssertionFailure()
         << count << " of " << want.pixels.size() << " values differ, by up to " << largest
         << "; the first at x " << pixel % want.width << ", y " << pixel / want.width
         << ", channel " << first % want.channels << ": got " << int(got.pixels[first]) << ", want "
         << int(want.pixels[first]);
}

// The names of the picture files of data/pictures whose pixels are known, sorted.
inline std::vector<std::string> golden_pictures() {
  std::vector<std::string> names;
  const std::string end = ".exact";
  const SafetensorsFile pixels(golden_path("pictures/pixels.safetensors"));
  for (const auto& [name, info] : pixels.tensors())
    if (name.ends_with(end)) names.push_back(name.substr(0, name.size() - end.size()));
  return names;
}

inline Bytes bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// A small picture with edges, slopes and, with 4 channels, every alpha.
inline Image test_picture(int width, int height, int channels) {
  Image image(width, height, channels);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.at(x, y)[c] = uint8_t((x * (7 + c) + y * (3 + 5 * c)) ^ ((x / 5 + y / 4) % 2 * 90));
  return image;
}

}  // namespace icedit
