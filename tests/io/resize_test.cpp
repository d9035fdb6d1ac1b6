// Pillow's resize and crop, pixel for pixel.
#include "io/resize.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "io/picture_goldens.h"
#include "io/picture_modes.h"

namespace icedit {
namespace {

const std::map<std::string, Filter> kFilters = {{"nearest", Filter::kNearest},
                                                {"bilinear", Filter::kBilinear},
                                                {"bicubic", Filter::kBicubic},
                                                {"lanczos", Filter::kLanczos}};

// N.MODE.FILTER is N.MODE.source resized to its own size.
void check_goldens(const std::string& mode, int at_least) {
  const SafetensorsFile goldens(golden_path("image/resize.safetensors"));
  int checked = 0;
  for (const auto& [name, info] : goldens.tensors()) {
    const size_t dot = name.rfind('.');
    const auto filter = kFilters.find(name.substr(dot + 1));
    if (filter == kFilters.end() || name.find("." + mode + ".") == name.npos) continue;
    const Image source = golden_image(goldens, name.substr(0, dot) + ".source");
    const Image want = golden_image(goldens, name);
    EXPECT_TRUE(same_pixels(resize(source, want.width, want.height, filter->second), want)) << name;
    ++checked;
  }
  EXPECT_GE(checked, at_least);
}

TEST(Resize, RgbIsPillows) {
  check_goldens("RGB", 24);
}
TEST(Resize, GreyIsPillows) {
  check_goldens("L", 6);
}
TEST(Resize, RgbaIsPillowsPremultiplied) {
  check_goldens("RGBA", 6);
}

TEST(Resize, PipelineSourcesByBicubic) {
  for (const std::string n : {"0", "1"}) {
    const Image source = read_image(golden_path("image/icedit_" + n + "_source.png"));
    const Image want = read_image(golden_path("image/icedit_" + n + "_resized.png"));
    EXPECT_TRUE(same_pixels(resize(source, want.width, want.height, Filter::kBicubic), want)) << n;
  }
}

TEST(Resize, MoreOfPillowsCases) {
  const SafetensorsFile goldens(golden_path("pictures/resize.safetensors"));
  int checked = 0;
  for (const auto& [name, info] : goldens.tensors()) {
    const size_t dot = name.rfind('.');
    const auto filter = kFilters.find(name.substr(dot + 1));
    if (filter == kFilters.end()) continue;
    const Image source = golden_image(goldens, name.substr(0, name.find('.')) + ".source");
    const Image want = golden_image(goldens, name);
    EXPECT_TRUE(same_pixels(resize(source, want.width, want.height, filter->second), want)) << name;
    ++checked;
  }
  EXPECT_GE(checked, 40);
}

TEST(Resize, SameSizeIsTheSamePicture) {
  for (const int channels : {1, 3, 4}) {
    const Image image = test_picture(9, 7, channels);
    for (const auto& [name, filter] : kFilters)
      EXPECT_TRUE(same_pixels(resize(image, 9, 7, filter), image)) << name;
  }
}

TEST(Resize, OneColourStaysIt) {
  Image image(50, 40);
  std::fill(image.pixels.begin(), image.pixels.end(), uint8_t{173});
  for (const auto& [name, filter] : kFilters)
    for (const auto& [w, h] : {std::pair{7, 90}, {131, 3}, {1, 1}}) {
      const Image out = resize(image, w, h, filter);
      for (const uint8_t value : out.pixels) ASSERT_EQ(value, 173) << name;
    }
}

TEST(Resize, RefusesAnEmptySide) {
  const Image image = test_picture(4, 4, 3);
  EXPECT_THROW(resize(image, 0, 4, Filter::kBicubic), UsageError);
  EXPECT_THROW(resize(image, 4, -1, Filter::kNearest), UsageError);
  EXPECT_THROW(resize(Image(), 4, 4, Filter::kBicubic), UsageError);
}

// A strip this long has a kernel wider than itself; its memory must follow the picture, not the
// kernel.
TEST(Resize, LongStripToOnePixel) {
  Image strip(2'000'000, 1, 1);
  for (size_t i = 0; i < strip.pixels.size(); ++i) strip.pixels[i] = i % 2 ? 100 : 102;
  EXPECT_EQ(*resize(strip, 1, 1, Filter::kLanczos).at(0, 0),
            96);  // as Pillow: the weights round to 0 ... 3
}

TEST(Resize, NearestForPaletteAndOneBitFiles) {
  for (const std::string& name : golden_pictures()) {
    const std::string file = read_file(golden_path("pictures/" + name));
    const bool want = name.starts_with("palette") || name == "one_bit.png";
    EXPECT_EQ(open_image(bytes_of(file), name).nearest, want) << name;
  }
}

TEST(Crop, OutsideIsZero) {
  const Image image = test_picture(8, 6, 3);
  const Image inside = crop(image, 2, 1, 7, 5);
  ASSERT_EQ(inside.width, 5);
  ASSERT_EQ(inside.height, 4);
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 5; ++x)
      for (int c = 0; c < 3; ++c) EXPECT_EQ(inside.at(x, y)[c], image.at(x + 2, y + 1)[c]);

  const Image around = crop(image, -3, -2, 12, 9);
  ASSERT_EQ(around.width, 15);
  ASSERT_EQ(around.height, 11);
  for (int y = 0; y < 11; ++y)
    for (int x = 0; x < 15; ++x) {
      const bool in = x >= 3 && x < 11 && y >= 2 && y < 8;
      for (int c = 0; c < 3; ++c) EXPECT_EQ(around.at(x, y)[c], in ? image.at(x - 3, y - 2)[c] : 0);
    }
  for (const uint8_t value : crop(image, 100, 100, 103, 102).pixels) EXPECT_EQ(value, 0);
  EXPECT_THROW(crop(image, 3, 0, 3, 4), UsageError);
  EXPECT_THROW(crop(image, 3, 4, 5, 2), UsageError);
  EXPECT_THROW(crop(image, INT32_MIN, 0, INT32_MAX, 1), UsageError);
}

TEST(Paste, WhatLiesOutsideIsLeftOutAndGreyIsSpread) {
  const Image picture = test_picture(4, 3, 3), grey = test_picture(2, 2, 1);
  Image onto(6, 5, 3);
  paste(picture, onto, 4, 1);
  paste(grey, onto, 1, 3);
  for (int y = 0; y < 5; ++y)
    for (int x = 0; x < 6; ++x)
      for (int c = 0; c < 3; ++c) {
        const bool in = x >= 4 && y >= 1 && y < 4, in_grey = x >= 1 && x < 3 && y >= 3;
        const int want = in ? picture.at(x - 4, y - 1)[c] : in_grey ? *grey.at(x - 1, y - 3) : 0;
        EXPECT_EQ(onto.at(x, y)[c], want) << x << ", " << y;
      }
}

}  // namespace
}  // namespace icedit
