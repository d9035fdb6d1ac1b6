// WebP pixels and text, by libwebp.
#include <webp/decode.h>

#include <algorithm>

#include "base/error.h"
#include "io/exif.h"
#include "io/picture_codecs.h"
#include "io/webp_container.h"

namespace icedit {
namespace {

using webp::Chunk;
using webp::Container;
using webp::little_endian;

struct Frame {
  std::string_view data;  // what libwebp decodes
  int x = 0, y = 0, width = 0, height = 0;
};

// ANMF: x/2, y/2, width-1, height-1, duration (3 bytes each), flags, then the chunks of a still
// picture.
Frame first_frame(const Container& file, const std::string& where) {
  const Chunk* anmf = file.find("ANMF");
  if (!anmf || anmf->data.size() < 16)
    throw_damaged(where, "WebP", "the animation has no whole frame");
  Frame f;
  f.x = 2 * int(little_endian(anmf->data, 0, 3));
  f.y = 2 * int(little_endian(anmf->data, 3, 3));
  f.width = int(little_endian(anmf->data, 6, 3)) + 1;
  f.height = int(little_endian(anmf->data, 9, 3)) + 1;
  f.data = anmf->data.substr(16);
  if (f.x + f.width > file.width || f.y + f.height > file.height)
    throw_damaged(where, "WebP", "its first frame lies outside the picture");
  return f;
}

WebPBitstreamFeatures features_of(std::string_view data, const std::string& where) {
  WebPBitstreamFeatures features;
  const auto* bytes = reinterpret_cast<const uint8_t*>(data.data());
  if (WebPGetFeatures(bytes, data.size(), &features) != VP8_STATUS_OK)
    throw_damaged(where, "WebP", "its header cannot be read");
  return features;
}

// Into `image` at the frame's place; the rest of a canvas is transparent black.
void decode_into(const Frame& f, Image& image, const std::string& where) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(f.data.data());
  const size_t stride = size_t(image.width) * image.channels;
  uint8_t* to = image.at(f.x, f.y);
  const size_t room = size_t(image.pixels.data() + image.pixels.size() - to);
  const auto decode = image.channels == 4 ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  if (stride > INT32_MAX || !decode(bytes, f.data.size(), to, room, int(stride)))
    throw_damaged(where, "WebP", "its pixels are not all there or not as the format wants");
}

int orientation_of(const Container& file) {
  if (const Chunk* exif = file.find("EXIF"))
    if (const int found = exif_orientation(as_bytes(exif->data))) return found;
  if (const Chunk* xmp = file.find("XMP "))
    if (const int found = xmp_orientation(xmp->data)) return found;
  return 1;
}

}  // namespace

Decoded decode_webp(Bytes bytes, const std::string& where, const ReadOptions& options) {
  const std::string_view text = as_text(bytes);
  const uint64_t claimed = text.size() < 12 ? 12 : uint64_t{little_endian(text, 4, 4)} + 8;
  if (text.size() < claimed)
    throw_damaged(where, "WebP", str("it has ", text.size(), " bytes, its header says ", claimed));
  const Container file(text);
  const bool animated = file.flags & webp::kAnimated;
  Frame frame;
  if (animated) {
    check_size(file.width, file.height, options, where);
    frame = first_frame(file, where);
  } else {
    frame.data = text;
  }
  const WebPBitstreamFeatures features = features_of(frame.data, where);
  if (!animated) {
    check_size(features.width, features.height, options, where);
    frame.width = features.width, frame.height = features.height;
  } else if (features.width != frame.width || features.height != frame.height) {
    throw_damaged(where, "WebP", "its first frame is not of the size that it says");
  }
  const bool alpha = file.width > 0 ? file.flags & webp::kAlpha : features.has_alpha;
  Decoded decoded;
  decoded.image = animated ? Image(file.width, file.height, alpha ? 4 : 3)
                           : Image(frame.width, frame.height, alpha ? 4 : 3);
  decode_into(frame, decoded.image, where);
  decoded.orientation = orientation_of(file);
  return decoded;
}

int64_t webp_frames(Bytes bytes) {
  const Container file(as_text(bytes));
  if ((file.flags & webp::kAnimated) == 0) return 0;
  return std::count_if(file.chunks.begin(), file.chunks.end(),
                       [](const Chunk& chunk) { return chunk.name == "ANMF"; });
}

PictureText read_webp_text(Bytes bytes) {
  const Container file(as_text(bytes));
  const Chunk* exif = file.find("EXIF");
  return exif ? read_exif_text(as_bytes(exif->data)) : PictureText{};
}

StoredProfile read_webp_profile(Bytes bytes) {
  const Container file(as_text(bytes));
  const Chunk* profile = file.flags & webp::kIccp ? file.find("ICCP") : nullptr;
  return {profile ? std::string(profile->data) : "", /*rgb_picture=*/true};
}

}  // namespace icedit
