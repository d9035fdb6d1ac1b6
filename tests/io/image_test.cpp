// What Pillow reads from a file, we read, to the last bit.
#include "io/image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <fstream>

#include "base/error.h"
#include "io/picture_goldens.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

class GoldenPicture : public ::testing::TestWithParam<std::string> {
 protected:
  const SafetensorsFile pixels{golden_path("pictures/pixels.safetensors")};
  const Path path = golden_path("pictures/" + GetParam());

  Image want(const std::string& kind) const { return golden_image(pixels, GetParam() + kind); }
};

TEST_P(GoldenPicture, PillowExactIsConvertRgb) {
  ReadOptions options;
  options.pillow_exact = true;
  EXPECT_TRUE(same_pixels(read_image(path, options), want(".exact")));
}

TEST_P(GoldenPicture, AlphaIsPutOnWhite) {
  const bool differs = pixels.has(GetParam() + ".opaque");
  EXPECT_TRUE(same_pixels(read_image(path), want(differs ? ".opaque" : ".exact")));
}

TEST_P(GoldenPicture, AlphaCanBeKept) {
  ReadOptions options;
  options.keep_alpha = true;
  const bool transparent = pixels.has(GetParam() + ".rgba");
  const bool differs = pixels.has(GetParam() + ".opaque");
  EXPECT_TRUE(same_pixels(read_image(path, options), want(transparent ? ".rgba"
                                                          : differs   ? ".opaque"
                                                                      : ".exact")));
}

// What is transparent in it is black: nobody painted there.
TEST_P(GoldenPicture, MaskIsConvertLOverBlack) {
  if (!pixels.has(GetParam() + ".rgba")) {
    EXPECT_TRUE(same_pixels(read_mask(path), want(".mask")));
    return;
  }
  const Image rgba = want(".rgba");
  Image black(rgba.width, rgba.height);
  for (size_t i = 0; i < black.pixels.size(); ++i) {
    const size_t pixel = i / 3 * 4;
    black.pixels[i] =
        uint8_t(std::lround(rgba.pixels[pixel + i % 3] * rgba.pixels[pixel + 3] / 255.0));
  }
  EXPECT_TRUE(same_pixels(read_mask(path), to_grey(black)));
  ReadOptions exact;
  exact.pillow_exact = true;
  EXPECT_TRUE(same_pixels(read_mask(path, exact), to_grey(read_image(path, exact))));
}

TEST_P(GoldenPicture, LimitCountsPixels) {
  const Image image = read_image(path);
  ReadOptions options;
  options.max_pixels = int64_t{image.width} * image.height;
  EXPECT_NO_THROW(read_image(path, options));
  --options.max_pixels;
  EXPECT_THROW(read_image(path, options), NoInputError);
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Pictures, GoldenPicture, ::testing::ValuesIn(golden_pictures()),
                         test_name);

TEST(Image, ReadsTheSourcesOfThePipelineGoldens) {
  const Image source = read_image(golden_path("image/icedit_1_source.png"));
  EXPECT_EQ(source.width, 50);
  EXPECT_EQ(source.height, 57);
  const Image mask = read_mask(golden_path("image/icedit_1_mask.png"));
  ASSERT_EQ(mask.channels, 1);
  ASSERT_EQ(mask.width, 128);
  for (int y = 0; y < mask.height; ++y)
    for (int x = 0; x < mask.width; ++x) ASSERT_EQ(*mask.at(x, y), x < 64 ? 0 : 255);
}

TEST(Image, GreyOfGreyIsTheSame) {
  Image grey(256, 1, 1), rgb(256, 1, 3);
  for (int i = 0; i < 256; ++i) {
    grey.pixels[i] = uint8_t(i);
    std::fill_n(rgb.at(i, 0), 3, uint8_t(i));
  }
  EXPECT_TRUE(same_pixels(to_grey(rgb), grey));
  EXPECT_TRUE(same_pixels(to_grey(grey), grey));
}

TEST(Image, FormatIsToldByTheExtension) {
  EXPECT_EQ(format_of("a/b.png"), ImageFormat::kPng);
  EXPECT_EQ(format_of("b.JPG"), ImageFormat::kJpeg);
  EXPECT_EQ(format_of("b.jpeg"), ImageFormat::kJpeg);
  EXPECT_EQ(format_of("b.webp"), ImageFormat::kWebp);
  EXPECT_THROW(format_of("b.gif"), UsageError);
  EXPECT_THROW(format_of("b"), UsageError);
  EXPECT_THROW(format_of("png"), UsageError);
}

// The root of the mean squared difference.
double distance(const Image& a, const Image& b) {
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) sum += std::pow(a.pixels[i] - b.pixels[i], 2);
  return std::sqrt(sum / double(a.pixels.size()));
}

Image decoded(const std::string& file) {
  ReadOptions options;
  options.keep_alpha = true;
  return decode_image(bytes_of(file), "memory", options);
}

Image as_rgb(const Image& grey) {
  Image rgb(grey.width, grey.height);
  for (size_t i = 0; i < grey.pixels.size(); ++i)
    std::fill_n(&rgb.pixels[3 * i], 3, grey.pixels[i]);
  return rgb;
}

class Encoding : public ::testing::TestWithParam<int> {};  // channels

TEST_P(Encoding, LosslessOnesComeBackExactly) {
  for (const auto& [width, height] : {std::pair{37, 23}, {1, 1}, {1, 40}, {40, 1}}) {
    const Image image = test_picture(width, height, GetParam());
    const Image want = image.channels == 1 ? as_rgb(image) : image;
    const PictureText text = {{"key", "value"}};
    EXPECT_TRUE(same_pixels(decoded(encode_image(image, ImageFormat::kPng)), want));
    EXPECT_TRUE(same_pixels(decoded(encode_image(image, ImageFormat::kPng, text)), want));
    EXPECT_TRUE(same_pixels(decoded(encode_image(image, ImageFormat::kWebp, {}, 100)), want));
    EXPECT_TRUE(same_pixels(decoded(encode_image(image, ImageFormat::kWebp, text, 100)), want));
  }
}

TEST_P(Encoding, LossyOnesComeCloseAndCloserWithQuality) {
  Image image(64, 48, GetParam());
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      for (int c = 0; c < image.channels; ++c)
        image.at(x, y)[c] =
            c == 3 ? 255 : uint8_t(x * (c + 1) + y * 2 + (x / 16 + y / 16) % 2 * 30);
  Image want = image.channels == 1 ? as_rgb(image) : image;
  for (const ImageFormat format : {ImageFormat::kJpeg, ImageFormat::kWebp}) {
    const auto error = [&](int quality) {
      const std::string file = encode_image(image, format, {{"key", "value"}}, quality);
      const Image back = decode_image(bytes_of(file), "memory");
      ReadOptions opaque;
      const std::string png = encode_image(want, ImageFormat::kPng);
      return distance(back, decode_image(bytes_of(png), "memory", opaque));
    };
    EXPECT_LT(error(95), 6.0);
    EXPECT_LT(error(95), error(40));
    EXPECT_LT(error(40), error(3));
  }
}

TEST_P(Encoding, FileSaysWhatItIs) {
  const TemporaryFolder folder;
  for (const char* extension : {".png", ".jpg", ".webp"}) {
    const Path path = folder / (std::string("picture") + extension);
    write_image(path, test_picture(16, 16, GetParam()));
    const Image back = read_image(path);
    EXPECT_EQ(back.width, 16);
    EXPECT_EQ(back.channels, 3);
    std::filesystem::remove(path);
  }
}

INSTANTIATE_TEST_SUITE_P(Channels, Encoding, ::testing::Values(1, 3, 4));

TEST(Image, FullColourFromQuality90) {
  Image stripes(32, 32);  // red and blue columns: half-resolution colour would blend them
  for (int y = 0; y < 32; ++y)
    for (int x = 0; x < 32; ++x) stripes.at(x, y)[x % 2 * 2] = 255;
  const auto error = [&](int quality) {
    return distance(decoded(encode_image(stripes, ImageFormat::kJpeg, {}, quality)), stripes);
  };
  EXPECT_LT(error(90), 12.0);
  EXPECT_GT(error(89), 60.0);
}

TEST(Image, RefusesWhatItCannotWrite) {
  const Image image = test_picture(4, 4, 3);
  EXPECT_THROW(encode_image(image, ImageFormat::kJpeg, {}, 0), UsageError);
  EXPECT_THROW(encode_image(image, ImageFormat::kJpeg, {}, 101), UsageError);
  EXPECT_THROW(encode_image(Image(), ImageFormat::kPng), UsageError);
  Image two_channels(4, 4, 2);
  EXPECT_THROW(encode_image(two_channels, ImageFormat::kPng), UsageError);
  Image short_one = image;
  short_one.pixels.pop_back();
  EXPECT_THROW(encode_image(short_one, ImageFormat::kPng), UsageError);
  EXPECT_THROW(encode_image(Image(16384, 1), ImageFormat::kWebp), UsageError);
  EXPECT_THROW(encode_image(Image(65501, 1), ImageFormat::kJpeg), UsageError);
  EXPECT_THROW(write_image(Path(::testing::TempDir()) / "a.gif", image), UsageError);
}

TEST(Image, FramesOfAnAnimationAreCounted) {
  EXPECT_GT(count_frames(golden_path("pictures/animated.webp")), 1);
  for (const char* still : {"rgb.png", "lossy.webp", "lossless_alpha.webp", "grey.jpg"})
    EXPECT_EQ(count_frames(golden_path(str("pictures/", still))), 1) << still;
  // An animated PNG: acTL (frames, plays) behind the header.
  std::string png = read_file(golden_path("pictures/rgb.png"));
  png.insert(33, std::string("\0\0\0\x08"
                             "acTL"
                             "\0\0\0\x03"
                             "\0\0\0\0"
                             "sum.",
                             20));
  const TemporaryFolder folder;
  EXPECT_EQ(count_frames(folder.write("a.png", png)), 3);
}

}  // namespace
}  // namespace icedit
