// WebP files, written by libwebp.
#include <webp/encode.h>

#include "base/error.h"
#include "io/exif.h"
#include "io/picture_codecs.h"
#include "io/webp_container.h"

namespace icedit {
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

// The same picture in an extended container: the colour profile stands before the pixels, EXIF
// after them.
std::string extended_file(const std::string& file, const Image& image, const std::string& profile,
                          const std::string& exif) {
  uint8_t flags = 0;
  std::string body;
  if (!profile.empty()) {
    flags |= webp::kIccp;
    body = webp::chunk("ICCP", profile);
  }
  for (const webp::Chunk& c : webp::Container(file).chunks) {
    if (c.name == "VP8X")
      flags |= uint8_t(c.data[0]);
    else
      body += webp::chunk(c.name, c.data);
  }
  if (!exif.empty()) {
    flags |= webp::kExif;
    body += webp::chunk("EXIF", exif);
  }
  if (image.channels == 4) flags |= webp::kAlpha;
  const std::string extended = std::string(1, char(flags)) + std::string(3, '\0') +
                               webp::little_endian(uint32_t(image.width - 1), 3) +
                               webp::little_endian(uint32_t(image.height - 1), 3);
  return webp::chunk("RIFF", "WEBP" + webp::chunk("VP8X", extended) + body);
}

}  // namespace

std::string encode_webp(const Image& image, const PictureText& text, int quality,
                        const std::string& profile) {
  if (image.channels == 1) return encode_webp(grey_to_rgb(image), text, quality, profile);
  if (image.width > WEBP_MAX_DIMENSION || image.height > WEBP_MAX_DIMENSION)
    throw UsageError(str("a WebP holds at most ", WEBP_MAX_DIMENSION, " pixels a side, not ",
                         image.width, "x", image.height, "; write a PNG"));
  const std::string file = WebpWriter().encode(image, quality);
  if (text.empty() && profile.empty()) return file;
  return extended_file(file, image, profile, make_exif(text));
}

}  // namespace icedit
