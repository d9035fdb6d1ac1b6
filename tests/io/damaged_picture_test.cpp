// Damaged, truncated, foreign and lying files: a picture or an error that names the file, never a
// crash or a part.
#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "io/image.h"
#include "io/picture_goldens.h"

namespace icedit {
namespace {

using std::literals::operator""s;

std::string message_of(const std::string& file, const ReadOptions& options = {}) {
  try {
    decode_image(bytes_of(file), "holiday.png", options);
  } catch (const NoInputError& error) {
    return error.what();
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

std::string golden_file(const std::string& name) {
  return read_file(golden_path("pictures/" + name));
}

TEST(DamagedPicture, TruncatedAnywhereIsAnError) {
  for (const std::string& name : golden_pictures()) {
    const std::string whole = golden_file(name);
    // A PNG that lacks no more than IEND is whole.
    const size_t needed = name.ends_with(".png") ? whole.size() - 16 : whole.size();
    std::vector<size_t> sizes = {needed - 1};
    for (size_t tenth = 0; tenth < 10; ++tenth) sizes.push_back(needed * tenth / 10);
    for (const size_t size : sizes) {
      const std::string message = message_of(whole.substr(0, size));
      EXPECT_TRUE(contains(message, "holiday.png")) << name << " cut to " << size;
    }
  }
}

// As for Pillow: what ends between two chunks, or within IEND, has all its pixels.
TEST(DamagedPicture, APngMayLackItsEnd) {
  for (const std::string& name : golden_pictures()) {
    if (!name.ends_with(".png")) continue;
    const std::string whole = golden_file(name);
    const Image want = decode_image(bytes_of(whole), name);
    for (const size_t cut : {1, 4, 5, 11, 12}) {
      const std::string file = whole.substr(0, whole.size() - cut);
      EXPECT_EQ(decode_image(bytes_of(file), name), want) << name << " without " << cut;
      EXPECT_EQ(read_colour_profile(bytes_of(file), name),
                read_colour_profile(bytes_of(whole), name));
    }
    // The last pixels' chunk is not whole.
    EXPECT_TRUE(contains(message_of(whole.substr(0, whole.size() - 17)), "truncated")) << name;
  }
}

// Reads the file in every way; an icedit::Error is right, anything else fails the test.
void read_all_ways(const std::string& file) {
  for (const bool exact : {false, true}) {
    ReadOptions options;
    options.pillow_exact = exact;
    options.keep_alpha = !exact;
    options.max_pixels = 1 << 16;
    try {
      const Image image = decode_image(bytes_of(file), "damaged", options);
      ASSERT_EQ(image.pixels.size(), size_t(image.width) * image.height * image.channels);
    } catch (const Error&) {
    }
  }
  try {
    read_picture_text(bytes_of(file), "damaged");
  } catch (const Error&) {
  }
  try {
    read_colour_profile(bytes_of(file), "damaged");
  } catch (const Error&) {
  }
}

TEST(DamagedPicture, FlippedBytesNeverCrash) {
  std::mt19937 random(20240504);
  std::vector<std::string> names = golden_pictures();
  for (const char* name : {"text.png", "text.jpg", "text.webp", "profile.png", "profile.jpg",
                           "profile.webp", "profile_grey.png"})
    names.push_back(name);
  for (const std::string& name : names) {
    const std::string whole = golden_file(name);
    for (int round = 0; round < 24; ++round) {
      std::string file = whole;
      const int flips = 1 + int(random() % 4);
      for (int i = 0; i < flips; ++i) {
        // half of them among the headers
        const size_t reach = random() % 2 ? file.size() : std::min<size_t>(file.size(), 200);
        file[random() % reach] = char(random());
      }
      ASSERT_NO_THROW(read_all_ways(file)) << name << " round " << round;
    }
  }
}

uint32_t crc32(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char c : bytes) {
    crc ^= uint8_t(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

std::string big_endian(uint32_t value) {
  return {char(value >> 24), char(value >> 16), char(value >> 8), char(value)};
}

// Makes the chunk's checksum right again, so that what is in it is believed.
void mend_png(std::string& file) {
  for (size_t at = 8; at + 12 <= file.size();) {
    uint32_t size = 0;
    for (int i = 0; i < 4; ++i) size = size << 8 | uint8_t(file[at + i]);
    if (size > file.size() - at - 12) return;
    file.replace(at + 8 + size, 4,
                 big_endian(crc32(std::string_view(file).substr(at + 4, size + 4))));
    at += 12 + size;
  }
}

TEST(DamagedPicture, FlippedBytesUnderRightChecksumsNeverCrash) {
  std::mt19937 random(7);
  std::vector<std::string> names = golden_pictures();
  for (const char* name : {"text.png", "profile.png", "profile_grey.png"}) names.push_back(name);
  for (const std::string& name : names) {
    if (!name.ends_with(".png")) continue;
    const std::string whole = golden_file(name);
    for (int round = 0; round < 40; ++round) {
      std::string file = whole;
      const size_t reach = round % 2 ? file.size() : std::min<size_t>(file.size(), 120);
      file[8 + random() % (reach - 8)] = char(random());
      mend_png(file);
      ASSERT_NO_THROW(read_all_ways(file)) << name << " round " << round;
    }
  }
}

// The pixels' checksum is wrong, or the packed data: never a half-filled picture.
TEST(DamagedPicture, DamagedPixelsAreAnError) {
  std::string png = golden_file("rgb.png");
  png[png.find("IDAT") + 40] ^= 1;
  EXPECT_TRUE(contains(message_of(png), "damaged"));
  mend_png(png);
  EXPECT_TRUE(contains(message_of(png), "damaged"));
}

TEST(DamagedPicture, HugeSizesAreRefusedBeforeDecoding) {
  std::string png = golden_file("rgb.png");
  png.replace(16, 8, big_endian(200'000) + big_endian(100'000));
  mend_png(png);
  EXPECT_TRUE(contains(message_of(png), "200000x100000"));
  EXPECT_TRUE(contains(message_of(png), "--max-pixels"));
  png.replace(16, 8,
              big_endian(9'000) + big_endian(9'000));  // within the limit, but not in so few bytes
  mend_png(png);
  EXPECT_TRUE(contains(message_of(png), "cannot hold them"));
  ReadOptions no_limit;
  no_limit.max_pixels = INT64_MAX;
  png.replace(16, 8, big_endian(0x7fffffff) + big_endian(0x7fffffff));
  mend_png(png);
  EXPECT_TRUE(contains(message_of(png, no_limit), "the limit is 4294967296"));

  std::string jpeg = golden_file("rgb_420.jpg");
  jpeg.replace(jpeg.find("\xff\xc0") + 5, 4, "\xff\xdc\xff\xdc");
  EXPECT_TRUE(contains(message_of(jpeg), "65500x65500"));
  std::string webp = golden_file("animated.webp");
  webp.replace(24, 6, std::string("\xfe\xff\x00\xfe\xff\x00", 6));
  EXPECT_TRUE(contains(message_of(webp), "65535x65535"));
  webp.replace(24, 6, "\xff\xff\x3f\xff\xff\x3f");  // the format ends below 2^32 pixels
  EXPECT_TRUE(contains(message_of(webp), "no whole WebP container"));
}

// libpng would allocate and clear what the chunk's head says.
TEST(DamagedPicture, ChunkLargerThanTheFileIsRefused) {
  for (const std::string chunk : {"tEXt", "IDAT", "eXIf", "abcd"}) {
    std::string png = golden_file("rgb.png");
    png.insert(33, big_endian(0x7ffffff0) + chunk);
    EXPECT_TRUE(contains(message_of(png), "ends before its last chunk")) << chunk;
    EXPECT_THROW(read_picture_text(bytes_of(png), "holiday.png"), NoInputError) << chunk;
  }
}

TEST(DamagedPicture, ForeignFormatsAreNamed) {
  const std::vector<std::pair<std::string, std::string>> files = {
      {"\0\0\0\x18"s + "ftypheic", "HEIC"},
      {"\0\0\0\x18"s + "ftypmif1", "HEIF"},
      {"\0\0\0\x18"s + "ftypavif", "an AVIF"},
      {"\0\0\0\x18"s + "ftypisom", "an MP4"},
      {"GIF89a", "GIF"},
      {"II*\0\x08\0\0\0\0\0"s, "TIFF"},
      {"MM\0*\0\0\0\x08"s, "TIFF"},
      {"BM6\0\0\0"s, "BMP"},
      {"%PDF-1.7", "PDF"},
      {"\0\0\0\x0cjP  \r\n\x87\n"s, "JPEG 2000"},
      {"\xff\x0a\x10", "JPEG XL"},
      {"\0\0\0\x0cJXL \r\n\x87\n"s, "JPEG XL"},
      {"8BPS", "Photoshop"},
      {"<!DOCTYPE html>", "an HTML"},
      {"version https://git-lfs.github.com/spec/v1", "Git LFS"},
  };
  for (const auto& [bytes, name] : files) {
    const std::string message = message_of(bytes);
    const std::string noun = name.starts_with("an ") ? name : "a " + name;
    EXPECT_TRUE(contains(message, "this is " + noun)) << name << ": " << message;
    EXPECT_TRUE(contains(message, ": ")) << message;
  }
  EXPECT_TRUE(contains(message_of("\0\0\0\x18"s + "ftypheic"), "heif-convert"));
  EXPECT_TRUE(contains(message_of(""), "empty"));
  EXPECT_TRUE(contains(message_of("hello"), "not a picture"));
  EXPECT_TRUE(contains(message_of("\x89PNG"), "not a picture"));
}

TEST(DamagedPicture, MissingFileAndFolderAreErrors) {
  EXPECT_THROW(read_image(golden_path("pictures/none.png")), NoInputError);
  EXPECT_THROW(read_image(golden_path("pictures")), NoInputError);
  EXPECT_THROW(read_picture_text(golden_path("pictures/none.png")), NoInputError);
}

}  // namespace
}  // namespace icedit
