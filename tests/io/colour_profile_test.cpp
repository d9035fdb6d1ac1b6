// ICC profiles: an RGB picture's comes back byte for byte; others are left out and never crash.
#include <gtest/gtest.h>

#include "base/error.h"
#include "io/image.h"
#include "io/picture_goldens.h"
#include "io/test_profile.h"

namespace icedit {
namespace {

const ImageFormat kFormats[] = {ImageFormat::kPng, ImageFormat::kJpeg, ImageFormat::kWebp};
constexpr size_t kMax = 4 << 20;

std::string encoded(ImageFormat format, const std::string& profile, int channels = 3,
                    int quality = 95, const PictureText& text = {}) {
  return encode_image(test_picture(16, 12, channels), format, text, quality, profile);
}

std::string profile_of(const std::string& file) {
  return read_colour_profile(bytes_of(file), "holiday.jpg");
}

// What is read, and what is said.
std::pair<std::string, std::string> read_with_warning(const std::string& file) {
  ::testing::internal::CaptureStderr();
  std::string profile = profile_of(file);
  return {profile, ::testing::internal::GetCapturedStderr()};
}

// In the file's profile, which it holds as it is: any format but PNG.
std::string changed(std::string file, size_t at, const std::string& bytes) {
  const size_t signature = file.find("acsp");
  EXPECT_NE(signature, file.npos);
  return file.replace(signature - 36 + at, bytes.size(), bytes);
}

TEST(ColourProfile, ComesBackAndThePictureIsTheSame) {
  const PictureText text = {{"key", "value"}};
  for (const ImageFormat format : kFormats) {
    for (const int channels : {3, 4}) {
      for (const int quality : {90, 100}) {
        for (const size_t size : {300, 501, 70'000, 200'000}) {
          const std::string profile = test_profile("RGB ", size);
          const std::string file = encoded(format, profile, channels, quality, text);
          EXPECT_EQ(profile_of(file), profile) << int(format) << " " << size;
          EXPECT_EQ(read_picture_text(bytes_of(file), "x"), text);
          ReadOptions options;
          options.keep_alpha = true;
          EXPECT_EQ(decode_image(bytes_of(file), "x", options),
                    decode_image(bytes_of(encoded(format, "", channels, quality)), "x", options));
        }
      }
    }
  }
}

TEST(ColourProfile, NoneIsNone) {
  for (const ImageFormat format : kFormats) {
    for (const int channels : {1, 3, 4}) {
      const auto [profile, warning] = read_with_warning(encoded(format, "", channels));
      EXPECT_EQ(profile, "");
      EXPECT_EQ(warning, "");
    }
  }
}

TEST(ColourProfile, TheLargestIs4MiB) {
  for (const ImageFormat format : kFormats) {
    EXPECT_EQ(profile_of(encoded(format, test_profile("RGB ", kMax))).size(), kMax);
    EXPECT_THROW(encoded(format, test_profile("RGB ", kMax + 4)), UsageError);
    EXPECT_THROW(encoded(format, test_profile("RGB ", 140)), UsageError);
  }
}

TEST(ColourProfile, OneThatIsNoneOfAnRgbPictureIsNotWritten) {
  for (const ImageFormat format : kFormats) {
    EXPECT_THROW(encoded(format, test_profile("GRAY")), UsageError);
    EXPECT_THROW(encoded(format, test_profile() + "more"), UsageError);
    EXPECT_THROW(encoded(format, test_profile(), 1), UsageError);
  }
}

TEST(ColourProfile, BrokenHeadersAreLeftOut) {
  for (const ImageFormat format : {ImageFormat::kJpeg, ImageFormat::kWebp}) {
    const std::string whole = encoded(format, test_profile());
    ASSERT_EQ(profile_of(changed(whole, 16, "RGB ")), test_profile());
    EXPECT_EQ(profile_of(changed(whole, 36, "acsq")), "");
    EXPECT_EQ(profile_of(changed(whole, 16, "Lab ")), "");
    EXPECT_EQ(profile_of(changed(whole, 0, std::string("\0\0\1\xf5", 4))), "");
    EXPECT_EQ(profile_of(changed(whole, 0, "\xff\xff\xff\xff")), "");
    EXPECT_EQ(decode_image(bytes_of(changed(whole, 36, "acsq")), "x"),
              decode_image(bytes_of(whole), "x"));
  }
  // A PNG's is packed: whatever byte is changed, it is the profile that goes and not the picture.
  const std::string png = encoded(ImageFormat::kPng, test_profile());
  const Image picture = decode_image(bytes_of(png), "x");
  for (size_t at = png.find("iCCP") + 4; at < png.find("IDAT") - 8; at += 7) {
    std::string file = png;
    file[at] = char(file[at] ^ 0x11);
    EXPECT_EQ(decode_image(bytes_of(file), "x"), picture) << at;
    EXPECT_NO_THROW(profile_of(file)) << at;
  }
}

// A JPEG's profile comes in numbered parts.
TEST(ColourProfile, PartsThatAreMissingOrTwiceLeaveItOut) {
  const std::string mark("ICC_PROFILE\0", 12);
  const std::string whole = encoded(ImageFormat::kJpeg, test_profile("RGB ", 100'000));
  const size_t first = whole.find(mark), second = whole.find(mark, first + 1);
  ASSERT_NE(second, whole.npos);
  for (const auto& [at, value] : {std::pair{first + 12, 2},
                                  {second + 12, 1},
                                  {first + 12, 0},
                                  {second + 12, 9},
                                  {first + 13, 3},
                                  {first + 13, 0}}) {
    std::string file = whole;
    file[at] = char(value);
    EXPECT_EQ(profile_of(file), "") << at << " " << value;
    EXPECT_NO_THROW(decode_image(bytes_of(file), "x"));
  }
  const std::string one = whole.substr(0, first - 4) + whole.substr(second - 4);
  EXPECT_EQ(profile_of(one), "");
}

TEST(ColourProfile, OfGreyAndCmykIsLeftOutWithAWarning) {
  const auto expect_left_out = [](const std::string& file) {
    const auto [profile, warning] = read_with_warning(file);
    EXPECT_EQ(profile, "");
    EXPECT_NE(warning.find("holiday.jpg: its colour profile is left out"), warning.npos) << warning;
  };
  // By the profile.
  const std::string jpeg = encoded(ImageFormat::kJpeg, test_profile());
  expect_left_out(changed(jpeg, 16, "GRAY"));
  expect_left_out(changed(jpeg, 16, "CMYK"));
  expect_left_out(changed(encoded(ImageFormat::kWebp, test_profile()), 16, "GRAY"));
  // By the picture, whatever the profile says; the segments stand behind the first one's start.
  const size_t from = jpeg.find(std::string("ICC_PROFILE\0", 12)) - 4;
  const size_t size = 2 + 2 + 14 + test_profile().size();
  int others = 0;
  for (const std::string& name : golden_pictures()) {
    const std::string file = read_file(golden_path("pictures/" + name));
    const bool cmyk = name.find("cmyk") != name.npos, grey = name.find("grey") != name.npos;
    if (!name.ends_with(".jpg") || !(cmyk || grey)) continue;
    expect_left_out(file.substr(0, 2) + jpeg.substr(from, size) + file.substr(2));
    ++others;
  }
  EXPECT_GE(others, 2);
}

// Pillow's ImageCms.createProfile("sRGB") and its like are in the files.
TEST(ColourProfile, PillowsFiles) {
  const std::string want = read_file(golden_path("pictures/profile.icc"));
  ASSERT_GT(want.size(), 144u);
  for (const char* name : {"profile.png", "profile.jpg", "profile.webp"})
    EXPECT_EQ(read_colour_profile(golden_path(str("pictures/", name))), want) << name;
  const auto [profile, warning] =
      read_with_warning(read_file(golden_path("pictures/profile_grey.png")));
  EXPECT_EQ(profile, "");
  EXPECT_NE(warning.find("grey or CMYK"), warning.npos) << warning;
}

// One that libpng refuses (class 'link') but JPEG and WebP hold: the edit is not lost for it.
TEST(ColourProfile, OneThatLibpngRefusesNeverCostsThePicture) {
  std::string profile = test_profile();
  profile.replace(12, 4, "link");
  EXPECT_EQ(profile_of(encoded(ImageFormat::kJpeg, profile)), profile);
  ::testing::internal::CaptureStderr();
  const std::string png = encoded(ImageFormat::kPng, profile);
  const std::string warning = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(warning.find("colour profile is left out"), warning.npos) << warning;
  EXPECT_EQ(png, encoded(ImageFormat::kPng, ""));
}

TEST(ColourProfile, NoPictureIsAnError) {
  EXPECT_THROW(profile_of(""), NoInputError);
  EXPECT_THROW(profile_of(test_profile()), NoInputError);
  EXPECT_THROW(read_colour_profile(golden_path("pictures/none.png")), NoInputError);
}

}  // namespace
}  // namespace icedit
