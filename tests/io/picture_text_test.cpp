// The text that travels with a picture: ours comes back, other programs' is read where it can be.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/exif.h"
#include "io/image.h"
#include "io/picture_goldens.h"

namespace icedit {
namespace {

using std::literals::operator""s;

const PictureText kRecipe = {
    {"instruction", "make it winter \u2014 \"\u51ac\" \U0001f328\n and a second line"},
    {"Description", "a winter's day"},
    {"Software", "icedit 0.1.0"},
    {"seed", "12345678901234567890"},
    {"empty", ""},
    {"a", "1"}};

class TextIn : public ::testing::TestWithParam<const char*> {
 protected:
  const Path path = Path(::testing::TempDir()) / (std::string("icedit_text_test.") + GetParam());
  void TearDown() override { std::filesystem::remove(path); }

  PictureText round_trip(const PictureText& text, int channels = 3, int quality = 90) const {
    write_image(path, test_picture(12, 9, channels), text, quality);
    EXPECT_EQ(read_image(path).width, 12);
    return read_picture_text(path);
  }
};

TEST_P(TextIn, ComesBack) {
  for (const int channels : {1, 3, 4})
    for (const int quality : {90, 100}) EXPECT_EQ(round_trip(kRecipe, channels, quality), kRecipe);
}

TEST_P(TextIn, NoneIsNone) {
  EXPECT_TRUE(round_trip({}).empty());
}

TEST_P(TextIn, WhatIsNotUtf8IsReplaced) {
  EXPECT_EQ(round_trip({{"key", "caf\xe9 \0 au lait"s}}),
            (PictureText{{"key", "caf\ufffd  au lait"}}));
}

TEST_P(TextIn, LongTextNeverCostsThePicture) {
  const PictureText text = {{"key", std::string(200'000, 'x')}};
  ::testing::internal::CaptureStderr();
  const PictureText back = round_trip(text);
  const std::string warning = ::testing::internal::GetCapturedStderr();
  if (GetParam() == "jpg"s) {  // a segment holds 65,533 bytes
    EXPECT_TRUE(back.empty());
    EXPECT_NE(warning.find("write a PNG"), warning.npos) << warning;
  } else {
    EXPECT_EQ(back, text);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, TextIn, ::testing::Values("png", "jpg", "webp"));

TEST(PictureText, PillowsIsRead) {
  for (const char* name : {"text.png", "text.jpg", "text.webp"}) {
    const auto texts = nlohmann::json::parse(read_file(golden_path("pictures/texts.json")));
    const auto want = texts.at(name).get<PictureText>();
    EXPECT_EQ(read_picture_text(golden_path(str("pictures/", name))), want) << name;
  }
}

TEST(PictureText, KeysThatPngCannotHoldAreErrors) {
  const Image image = test_picture(4, 4, 3);
  for (const std::string& key :
       {""s, std::string(80, 'k'), " key"s, "key "s, "a  b"s, "k\n"s, "\u51ac"s})
    EXPECT_THROW(encode_image(image, ImageFormat::kPng, {{key, "v"}}), UsageError) << key;
  EXPECT_NO_THROW(encode_image(image, ImageFormat::kPng, {{std::string(79, 'k'), "v"}}));
}

TEST(Exif, OrientationOfEitherByteOrder) {
  const std::string little("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0", 26);
  const std::string big("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0", 26);
  EXPECT_EQ(exif_orientation(bytes_of(little)), 6);
  EXPECT_EQ(exif_orientation(bytes_of(big)), 6);
  EXPECT_EQ(exif_orientation(bytes_of("Exif\0\0"s + little)), 6);
  EXPECT_EQ(exif_orientation(bytes_of("JJ" + little.substr(2))), 0);
  for (size_t size = 0; size < 22; ++size)
    EXPECT_EQ(exif_orientation(bytes_of(little.substr(0, size))), 0) << size;
  std::string nine = little;
  nine[18] = 9;
  EXPECT_EQ(exif_orientation(bytes_of(nine)), 0);
  std::string rational = little;
  rational[12] = 5;
  EXPECT_EQ(exif_orientation(bytes_of(rational)), 0);
}

TEST(Exif, OrientationOfXmp) {
  EXPECT_EQ(xmp_orientation("<a tiff:Orientation=\"6\">"), 6);
  EXPECT_EQ(xmp_orientation("<tiff:Orientation>3</tiff:Orientation>"), 3);
  EXPECT_EQ(xmp_orientation("tiff:Orientation tiff:Orientation=\"8\""), 8);
  EXPECT_EQ(xmp_orientation("tiff:Orientation=\"9\""), 0);
  EXPECT_EQ(xmp_orientation("tiff:Orientation=\""), 0);
  EXPECT_EQ(xmp_orientation(""), 0);
}

TEST(Exif, DamagedBlocksNeverThrow) {
  const std::string whole = make_exif(kRecipe);
  ASSERT_EQ(read_exif_text(bytes_of(whole)), kRecipe);
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_NO_THROW(read_exif_text(bytes_of(whole.substr(0, size))));
  for (size_t at = 0; at < whole.size(); ++at)
    for (const int value : {0, 1, 0x7f, 0x80, 0xff}) {
      std::string damaged = whole;
      damaged[at] = char(value);
      EXPECT_NO_THROW(read_exif_text(bytes_of(damaged)));
      EXPECT_NO_THROW(exif_orientation(bytes_of(damaged)));
    }
}

TEST(Exif, DeepJsonIsNoRecursion) {
  const std::string deep(60'000, '[');
  const std::string json =
      "{\"a\":" + deep + std::string(deep.size(), ']') + ",\"b\":\"c\",\"d\":1}";
  std::string exif = make_exif({{"k", std::string(json.size() - 8, 'x')}});  // {"k":"xxx"}
  const size_t at = exif.find("{\"k\"");
  exif.replace(at, json.size(), json);
  EXPECT_EQ(read_exif_text(bytes_of(exif)), (PictureText{{"b", "c"}, {"d", "1"}}));
}

}  // namespace
}  // namespace icedit
