#include "io/picture_modes.h"

#include <algorithm>
#include <utility>

#include "io/picture_codecs.h"
#include "io/picture_kind.h"

namespace icedit {
namespace {

// 8 bytes signature, then IHDR: length, name, width, height, depth, type.
bool png_is_nearest(std::string_view file) {
  if (file.size() < 26) return false;
  const int depth = uint8_t(file[24]), type = uint8_t(file[25]);
  constexpr int kGrey = 0, kPalette = 3;
  return type == kPalette || (type == kGrey && depth == 1);
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
  return without_alpha(resized);
}

Size picture_size(Bytes bytes, const std::string& where) {
  const PictureHead head = codec_of(bytes, where).head(bytes, where);
  check_size(head.width, head.height, {.max_pixels = INT32_MAX}, where);
  Size size = {int(head.width), int(head.height)};
  if (head.orientation >= 5) std::swap(size.width, size.height);
  return size;
}

}  // namespace icedit
