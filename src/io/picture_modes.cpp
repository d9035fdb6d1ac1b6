#include "io/picture_modes.h"

#include <webp/decode.h>

#include <algorithm>
#include <utility>

#include "io/exif.h"
#include "io/picture_codecs.h"
#include "io/picture_kind.h"

namespace icedit {
namespace {

using std::literals::operator""sv;

uint32_t big_endian(std::string_view bytes, size_t at, int size) {
  uint32_t value = 0;
  for (int i = 0; i < size; ++i) value = value << 8 | uint8_t(bytes[at + i]);
  return value;
}

struct Found {
  int64_t width = 0, height = 0;
  int orientation = 1;
};

// 8 bytes signature, then chunks: length (big-endian), name, data, checksum. IHDR comes first:
// width, height, depth, type.
constexpr size_t kPngHeader = 8 + 8 + 13;

Found png_size(std::string_view file) {
  Found found;
  if (file.size() < kPngHeader || file.substr(12, 4) != "IHDR"sv) return found;
  found.width = big_endian(file, 16, 4), found.height = big_endian(file, 20, 4);
  for (size_t at = 8; at + 12 <= file.size();) {
    const uint64_t size = big_endian(file, at, 4);
    const std::string_view name = file.substr(at + 4, 4);
    if (name == "IDAT"sv || size > file.size() - at - 12) break;
    if (name == "eXIf"sv) found.orientation = exif_orientation(as_bytes(file.substr(at + 8, size)));
    at += 12 + size;
  }
  return found;
}

bool png_is_nearest(std::string_view file) {
  if (file.size() < kPngHeader) return false;
  const int depth = uint8_t(file[24]), type = uint8_t(file[25]);
  constexpr int kGrey = 0, kPalette = 3;
  return type == kPalette || (type == kGrey && depth == 1);
}

// Segments: 0xff, marker, length (big-endian, with itself), data. Start of frame: precision,
// height, width.
Found jpeg_size(std::string_view file) {
  Found found;
  std::string exif;
  for (size_t at = 2; at + 4 <= file.size() && uint8_t(file[at]) == 0xff;) {
    const int marker = uint8_t(file[at + 1]);
    if (marker == 0xff) {  // fill byte
      ++at;
      continue;
    }
    const size_t size = big_endian(file, at + 2, 2);
    if (size < 2 || at + 2 + size > file.size() || marker == 0xda) break;
    const std::string_view data = file.substr(at + 4, size - 2);
    if (marker == 0xe1 && data.starts_with("Exif\0\0"sv)) exif += data.substr(6);
    const bool tables = marker == 0xc4 || marker == 0xc8 || marker == 0xcc;
    if (marker >= 0xc0 && marker <= 0xcf && !tables && data.size() >= 5) {
      found.height = big_endian(data, 1, 2), found.width = big_endian(data, 3, 2);
      break;  // what we need of EXIF stands before
    }
    at += 2 + size;
  }
  found.orientation = exif_orientation(as_bytes(exif));
  return found;
}

Found webp_size(Bytes file) {
  int width = 0, height = 0;
  if (!WebPGetInfo(reinterpret_cast<const uint8_t*>(file.data()), file.size(), &width, &height))
    return {};
  return {width, height, webp_orientation(file)};
}

}  // namespace

OpenedImage open_image(Bytes bytes, const std::string& where, int64_t max_pixels) {
  OpenedImage opened;
  opened.image = decode_image(bytes, where,
                              {.max_pixels = max_pixels, .pillow_exact = true, .keep_alpha = true});
  opened.nearest =
      picture_kind(bytes, where) == ImageFormat::kPng && png_is_nearest(as_text(bytes));
  return opened;
}

Image resize_to_rgb(const OpenedImage& opened, int width, int height) {
  Image resized =
      resize(opened.image, width, height, opened.nearest ? Filter::kNearest : Filter::kBicubic);
  if (resized.channels == 3) return resized;
  if (resized.channels == 1) return grey_to_rgb(resized);
  Image rgb(width, height);
  const uint8_t* from = resized.pixels.data();
  for (size_t i = 0; i < rgb.pixels.size(); i += 3, from += 4) std::copy_n(from, 3, &rgb.pixels[i]);
  return rgb;
}

Size picture_size(Bytes bytes, const std::string& where) {
  Found found;
  switch (picture_kind(bytes, where)) {
    case ImageFormat::kPng:
      found = png_size(as_text(bytes));
      break;
    case ImageFormat::kJpeg:
      found = jpeg_size(as_text(bytes));
      break;
    case ImageFormat::kWebp:
      found = webp_size(bytes);
      break;
  }
  check_size(found.width, found.height, {.max_pixels = INT32_MAX}, where);
  Size size = {int(found.width), int(found.height)};
  if (found.orientation >= 5) std::swap(size.width, size.height);
  return size;
}

}  // namespace icedit
