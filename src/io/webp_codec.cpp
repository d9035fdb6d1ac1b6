// WebP by libwebp; the RIFF container around it is read and written here.
// Source: https://developers.google.com/speed/webp/docs/riff_container
#include <webp/decode.h>
#include <webp/encode.h>

#include "base/error.h"
#include "io/exif.h"
#include "io/picture_codecs.h"

namespace icedit {
namespace {

using std::literals::operator""sv;

constexpr uint8_t kAnimated = 0x02, kExif = 0x08, kAlpha = 0x10;  // VP8X flags

std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

uint32_t little_endian(std::string_view bytes, size_t at, int size) {
  uint32_t value = 0;
  for (int i = 0; i < size; ++i) value |= uint32_t(uint8_t(bytes[at + i])) << (8 * i);
  return value;
}

std::string little_endian(uint32_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes += char(value >> (8 * i) & 0xff);
  return bytes;
}

struct Chunk {
  std::string_view name;  // 4 characters
  std::string_view data;
};

// 4 bytes name, 4 bytes size, data, a byte of padding after an odd size. Stops where one does not
// fit.
std::vector<Chunk> chunks_of(std::string_view bytes) {
  std::vector<Chunk> chunks;
  size_t at = 0;
  while (at + 8 <= bytes.size()) {
    const uint64_t size = little_endian(bytes, at + 4, 4);
    if (size > bytes.size() - at - 8) break;
    chunks.push_back({bytes.substr(at, 4), bytes.substr(at + 8, size)});
    at += 8 + size + size % 2;
  }
  return chunks;
}

const Chunk* find(const std::vector<Chunk>& chunks, std::string_view name) {
  for (const Chunk& c : chunks)
    if (c.name == name) return &c;
  return nullptr;
}

// "RIFF", size of what follows, "WEBP", chunks.
struct Container {
  std::vector<Chunk> chunks;
  int width = 0, height = 0;  // of the canvas; 0 where there is no VP8X chunk
  uint8_t flags = 0;

  explicit Container(std::string_view file) {
    if (file.size() < 12) return;
    chunks = chunks_of(file.substr(12, little_endian(file, 4, 4) - size_t{4}));
    const Chunk* extended = find(chunks, "VP8X");
    if (!extended || extended->data.size() < 10) return;
    flags = uint8_t(extended->data[0]);
    width = int(little_endian(extended->data, 4, 3)) + 1;
    height = int(little_endian(extended->data, 7, 3)) + 1;
  }
};

struct Frame {
  std::string_view data;  // what libwebp decodes
  int x = 0, y = 0, width = 0, height = 0;
};

// ANMF: x/2, y/2, width-1, height-1, duration (3 bytes each), flags, then the chunks of a still
// picture.
Frame first_frame(const Container& file, const std::string& where) {
  const Chunk* anmf = find(file.chunks, "ANMF");
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
  if (const Chunk* exif = find(file.chunks, "EXIF"))
    if (const int found = exif_orientation(as_bytes(exif->data))) return found;
  if (const Chunk* xmp = find(file.chunks, "XMP "))
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
  const bool animated = file.flags & kAnimated;
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
  const bool alpha = file.width > 0 ? file.flags & kAlpha : features.has_alpha;
  Decoded decoded;
  decoded.image = animated ? Image(file.width, file.height, alpha ? 4 : 3)
                           : Image(frame.width, frame.height, alpha ? 4 : 3);
  decode_into(frame, decoded.image, where);
  decoded.orientation = orientation_of(file);
  return decoded;
}

PictureText read_webp_text(Bytes bytes) {
  const Container file(as_text(bytes));
  const Chunk* exif = find(file.chunks, "EXIF");
  return exif ? read_exif_text(as_bytes(exif->data)) : PictureText{};
}

namespace {

// libwebp's encoder state and its output.
class WebpWriter {
 public:
  WebpWriter() {
    if (!WebPPictureInit(&picture_)) throw std::logic_error("libwebp is of another version");
    WebPMemoryWriterInit(&memory_);
    picture_.writer = WebPMemoryWrite;
    picture_.custom_ptr = &memory_;
  }
  ~WebpWriter() {
    WebPPictureFree(&picture_);
    WebPMemoryWriterClear(&memory_);
  }
  WebpWriter(const WebpWriter&) = delete;
  WebpWriter& operator=(const WebpWriter&) = delete;

  std::string encode(const Image& image, int quality) {
    WebPConfig config;
    bool ok = WebPConfigInit(&config);
    if (quality == 100)
      ok = ok && WebPConfigLosslessPreset(&config, 6);
    else
      config.quality = float(quality);
    config.exact = 1;  // keeps the colour of transparent pixels
    picture_.use_argb = quality == 100;
    picture_.width = image.width;
    picture_.height = image.height;
    const auto import = image.channels == 4 ? WebPPictureImportRGBA : WebPPictureImportRGB;
    ok = ok && import(&picture_, image.pixels.data(), image.width * image.channels) &&
         WebPEncode(&config, &picture_);
    if (!ok) throw IoError(str("encoding the WebP failed: libwebp's error ", picture_.error_code));
    return {reinterpret_cast<const char*>(memory_.mem), memory_.size};
  }

 private:
  WebPPicture picture_;
  WebPMemoryWriter memory_;
};

std::string chunk(std::string_view name, std::string_view data) {
  std::string bytes = std::string(name) + little_endian(uint32_t(data.size()), 4);
  bytes += data;
  if (data.size() % 2) bytes += '\0';
  return bytes;
}

// The same picture in an extended container with an EXIF chunk at the end.
std::string with_exif(const std::string& webp, const Image& image, const std::string& exif) {
  uint8_t flags = kExif;
  std::string body;
  for (const Chunk& c : Container(webp).chunks) {
    if (c.name == "VP8X")
      flags |= uint8_t(c.data[0]);
    else
      body += chunk(c.name, c.data);
  }
  if (image.channels == 4) flags |= kAlpha;
  const std::string extended = std::string(1, char(flags)) + std::string(3, '\0') +
                               little_endian(uint32_t(image.width - 1), 3) +
                               little_endian(uint32_t(image.height - 1), 3);
  return chunk("RIFF", "WEBP" + chunk("VP8X", extended) + body + chunk("EXIF", exif));
}

}  // namespace

std::string encode_webp(const Image& image, const PictureText& text, int quality) {
  if (image.channels == 1) return encode_webp(grey_to_rgb(image), text, quality);
  if (image.width > WEBP_MAX_DIMENSION || image.height > WEBP_MAX_DIMENSION)
    throw UsageError(str("a WebP holds at most ", WEBP_MAX_DIMENSION, " pixels a side, not ",
                         image.width, "x", image.height, "; write a PNG"));
  const std::string webp = WebpWriter().encode(image, quality);
  return text.empty() ? webp : with_exif(webp, image, make_exif(text));
}

}  // namespace icedit
