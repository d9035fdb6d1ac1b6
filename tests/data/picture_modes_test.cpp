#include "io/picture_modes.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

Bytes bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// A camera's APP1 segment: "Exif", a TIFF directory with one entry, Orientation.
std::string turned(const std::string& jpeg, char orientation) {
  const std::string tiff = {'M', 'M', 0, 42, 0, 0, 0,           8, 0, 1, 1, 0x12, 0,
                            3,   0,   0, 0,  1, 0, orientation, 0, 0, 0, 0, 0,    0};
  std::string file = jpeg.substr(0, 2);
  file.append("\xff\xe1\0", 3);
  file += char(2 + 6 + tiff.size());
  file.append("Exif\0\0", 6);
  file += tiff;
  file += jpeg.substr(2);
  return file;
}

TEST(Size, IsReadFromTheHeaders) {
  const Image image(21, 13);
  for (const auto format : {ImageFormat::kPng, ImageFormat::kJpeg, ImageFormat::kWebp})
    EXPECT_EQ(picture_size(bytes_of(encode_image(image, format)), "x"), (Size{21, 13}));
  const Image lossless(5, 300, 4);
  EXPECT_EQ(picture_size(bytes_of(encode_image(lossless, ImageFormat::kWebp, {}, 100)), "x"),
            (Size{5, 300}));
}

TEST(Size, IsThatOfThePictureAsItIsShown) {
  const std::string jpeg = encode_image(Image(21, 13), ImageFormat::kJpeg);
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const std::string file = turned(jpeg, char(orientation));
    const Size want = orientation < 5 ? Size{21, 13} : Size{13, 21};
    EXPECT_EQ(picture_size(bytes_of(file), "x"), want) << orientation;
    const OpenedImage opened = open_image(bytes_of(file), "x");
    EXPECT_EQ((Size{opened.image.width, opened.image.height}), want) << orientation;
  }
}

std::string big_endian(uint32_t value) {
  return {char(value >> 24), char(value >> 16), char(value >> 8), char(value)};
}

// Of PNG: length, name, data, checksum; behind IHDR.
std::string with_chunk(const std::string& png, const std::string& name, const std::string& data) {
  uint32_t crc = ~0u;
  for (const char c : name + data) {
    crc ^= uint8_t(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return png.substr(0, 33) + big_endian(uint32_t(data.size())) + name + data + big_endian(~crc) +
         png.substr(33);
}

// Of WebP: name, length (little-endian), data; behind the pixels.
std::string with_riff_chunk(std::string webp, const std::string& name, std::string data) {
  const auto size = uint32_t(data.size());
  if (size % 2) data += '\0';
  webp += name + std::string{char(size), char(size >> 8), 0, 0} + data;
  webp[20] |= 4;  // VP8X says that there is XMP
  const auto whole = uint32_t(webp.size() - 8);
  webp.replace(4, 4, {char(whole), char(whole >> 8), 0, 0});
  return webp;
}

TEST(Size, FindsTheOrientationWhereverTheDecoderDoes) {
  const std::string tiff("MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0", 26);
  const std::string prefixed = str(std::string_view("Exif\0\0", 6), tiff);
  const std::string xmp = "<x tiff:Orientation=\"6\"/>";
  const std::string in_png = "XML:com.adobe.xmp" + std::string(5, '\0') + xmp;
  const std::string in_jpeg = str(std::string_view("http://ns.adobe.com/xap/1.0/\0", 29), xmp);
  std::string raw = str(std::string_view("Raw profile type exif\0", 22), "\nexif\n      26\n");
  for (const char c : tiff)
    raw += "0123456789abcdef"[c >> 4 & 15], raw += "0123456789abcdef"[c & 15];
  const Image image(21, 13);
  const std::string png = encode_image(image, ImageFormat::kPng);
  const std::string jpeg = encode_image(image, ImageFormat::kJpeg);
  // With text it has the extended container that more chunks need.
  const std::string webp = encode_image(image, ImageFormat::kWebp, {{"k", "v"}});
  const std::string segment = "\xff\xe1" + std::string{0, char(2 + in_jpeg.size())} + in_jpeg;
  for (const std::string& file : {with_chunk(png, "eXIf", tiff), with_chunk(png, "eXIf", prefixed),
                                  with_chunk(png, "iTXt", in_png), with_chunk(png, "tEXt", raw),
                                  jpeg.substr(0, 2) + segment + jpeg.substr(2), turned(jpeg, 6),
                                  with_riff_chunk(webp, "XMP ", xmp)}) {
    const Image decoded = decode_image(bytes_of(file), "x");
    EXPECT_EQ((Size{decoded.width, decoded.height}), (Size{13, 21}));
    EXPECT_EQ(picture_size(bytes_of(file), "x"), (Size{13, 21}));
  }
}

TEST(Size, WhatIsNoPictureIsAnError) {
  for (const std::string& text :
       {std::string(), std::string("no picture"), std::string("\x89PNG\r\n\x1a\n"),
        std::string("\xff\xd8\xff\xe0\0\x10", 6), std::string("RIFF\4\0\0\0WEBP")})
    EXPECT_THROW(picture_size(bytes_of(text), "x"), NoInputError) << text;
}

// Cut and broken headers: an error or some size, nothing else.
TEST(Size, DamagedHeadersDoNotCrash) {
  uint64_t random = 7;
  for (const auto format : {ImageFormat::kPng, ImageFormat::kJpeg, ImageFormat::kWebp}) {
    std::string good = encode_image(Image(40, 30), format);
    if (format == ImageFormat::kJpeg) good = turned(good, 6);
    for (int i = 0; i < 2000; ++i) {
      random = random * 6364136223846793005 + 1442695040888963407;
      std::string bad = good.substr(0, 12 + (random >> 40) % good.size());
      bad[(random >> 20) % bad.size()] = char(random >> 12);
      try {
        const Size size = picture_size(bytes_of(bad), "x");
        EXPECT_GT(size.width, 0);
        EXPECT_GT(size.height, 0);
      } catch (const NoInputError&) {
      }
    }
  }
}

TEST(OpenedImage, AlphaIsKeptUntilTheResize) {
  Image image(2, 1, 4);
  const uint8_t pixels[] = {200, 100, 50, 255, 0, 0, 0, 0};
  std::copy(std::begin(pixels), std::end(pixels), image.pixels.begin());
  const OpenedImage opened = open_image(bytes_of(encode_image(image, ImageFormat::kPng)), "x");
  EXPECT_EQ(opened.image.channels, 4);
  EXPECT_FALSE(opened.nearest);
  // Premultiplied: the transparent black pixel does not darken its neighbour.
  const Image one = resize_to_rgb(opened, 1, 1);
  EXPECT_NEAR(one.pixels[0], 200, 1);
  EXPECT_NEAR(one.pixels[1], 100, 1);
}

// 8 x 2 pixels of one bit, 10110010 above its opposite, as Pillow writes them.
constexpr uint8_t kOneBit[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
    0x44, 0x52, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x02, 0x01, 0x00, 0x00, 0x00,
    0x00, 0x4d, 0xef, 0xa0, 0x40, 0x00, 0x00, 0x00, 0x0c, 0x49, 0x44, 0x41, 0x54, 0x78,
    0x9c, 0x63, 0xd8, 0xc4, 0xe0, 0x0b, 0x00, 0x02, 0x67, 0x01, 0x00, 0x47, 0xf9, 0x15,
    0xb2, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

TEST(OpenedImage, OneBitPicturesAreResizedByNearest) {
  const OpenedImage opened = open_image(std::as_bytes(std::span(kOneBit)), "x");
  EXPECT_TRUE(opened.nearest);
  const Image resized = resize_to_rgb(opened, 5, 2);
  const int want[] = {255, 255, 0, 0, 0, 0, 0, 255, 255, 255};  // Pillow's resize((5, 2))
  for (int i = 0; i < 10; ++i) EXPECT_EQ(*resized.at(i % 5, i / 5), want[i]) << i;
}

}  // namespace
}  // namespace icedit
