// WebP pixels and text, by libwebp; its demuxer, which Pillow uses as well, says where they are.
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "base/error.h"
#include "io/exif.h"
#include "io/picture_codecs.h"

namespace icedit {
namespace {

using Container = std::unique_ptr<WebPDemuxer, decltype(&WebPDemuxDelete)>;

// Views into `bytes`; null where the file is cut off or not as the format wants.
Container container_of(Bytes bytes) {
  const WebPData data = {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
  return {WebPDemux(&data), &WebPDemuxDelete};
}

// The first chunk of a name; empty where there is none.
std::string_view chunk(const Container& file, const char* name) {
  WebPChunkIterator found;
  if (!file || !WebPDemuxGetChunk(file.get(), name, 1, &found)) return {};
  const std::string_view data(reinterpret_cast<const char*>(found.chunk.bytes), found.chunk.size);
  WebPDemuxReleaseChunkIterator(&found);
  return data;
}

uint32_t flags_of(const Container& file) {
  return WebPDemuxGetI(file.get(), WEBP_FF_FORMAT_FLAGS);
}

int orientation_of(const Container& file) {
  if (const int found = exif_orientation(as_bytes(chunk(file, "EXIF")))) return found;
  if (const int found = xmp_orientation(chunk(file, "XMP "))) return found;
  return 1;
}

// Into `image` at the frame's place; the rest of a canvas is transparent black.
bool decode_into(const WebPIterator& frame, Image& image) {
  const size_t stride = size_t(image.width) * image.channels;
  uint8_t* to = image.at(frame.x_offset, frame.y_offset);
  const size_t room = size_t(image.pixels.data() + image.pixels.size() - to);
  const auto decode = image.channels == 4 ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  return stride <= INT32_MAX &&
         decode(frame.fragment.bytes, frame.fragment.size, to, room, int(stride)) != nullptr;
}

PictureHead webp_head(Bytes bytes, const std::string&) {
  const Container file = container_of(bytes);
  if (!file) return {};
  return {WebPDemuxGetI(file.get(), WEBP_FF_CANVAS_WIDTH),
          WebPDemuxGetI(file.get(), WEBP_FF_CANVAS_HEIGHT), orientation_of(file), ""};
}

Decoded decode_webp(Bytes bytes, const std::string& where, const ReadOptions& options) {
  const Container file = container_of(bytes);
  if (!file)
    throw_damaged(where, "WebP", str("its ", bytes.size(), " bytes are no whole WebP container"));
  const int64_t width = WebPDemuxGetI(file.get(), WEBP_FF_CANVAS_WIDTH);
  const int64_t height = WebPDemuxGetI(file.get(), WEBP_FF_CANVAS_HEIGHT);
  check_size(width, height, options, where);
  WebPIterator frame;
  if (!WebPDemuxGetFrame(file.get(), 1, &frame)) throw_damaged(where, "WebP", "it has no frame");
  Decoded decoded;
  decoded.image = Image(int(width), int(height), flags_of(file) & ALPHA_FLAG ? 4 : 3);
  const bool whole = decode_into(frame, decoded.image);
  WebPDemuxReleaseIterator(&frame);
  if (!whole)
    throw_damaged(where, "WebP", "its pixels are not all there or not as the format wants");
  decoded.orientation = orientation_of(file);
  return decoded;
}

int64_t webp_frames(Bytes bytes, const std::string&) {
  const Container file = container_of(bytes);
  if (!file || (flags_of(file) & ANIMATION_FLAG) == 0) return 0;
  return WebPDemuxGetI(file.get(), WEBP_FF_FRAME_COUNT);
}

PictureText read_webp_text(Bytes bytes, const std::string&) {
  return read_exif_text(as_bytes(chunk(container_of(bytes), "EXIF")));
}

std::string read_webp_exif(Bytes bytes, const std::string&) {
  return std::string(chunk(container_of(bytes), "EXIF"));
}

StoredProfile read_webp_profile(Bytes bytes, const std::string&) {
  return {std::string(chunk(container_of(bytes), "ICCP")), /*rgb_picture=*/true};
}

}  // namespace

const Codec kWebpCodec = {decode_webp,    webp_head,         read_webp_text,
                          read_webp_exif, read_webp_profile, webp_frames};

}  // namespace icedit
