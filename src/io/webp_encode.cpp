// WebP files, written by libwebp.
#include <webp/encode.h>
#include <webp/mux.h>

#include <memory>

#include "base/error.h"
#include "io/exif.h"
#include "io/picture_codecs.h"

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

WebPData data_of(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

// The same picture with a colour profile and EXIF beside it, where they are not empty.
std::string extended_file(const std::string& file, const std::string& profile,
                          const std::string& exif) {
  const WebPData picture = data_of(file), iccp = data_of(profile), text = data_of(exif);
  const std::unique_ptr<WebPMux, decltype(&WebPMuxDelete)> mux(
      WebPMuxCreate(&picture, /*copy_data=*/0), &WebPMuxDelete);
  const auto set = [&](const char* name, const WebPData& data) {
    return data.size == 0 || WebPMuxSetChunk(mux.get(), name, &data, 0) == WEBP_MUX_OK;
  };
  WebPData whole;
  if (!mux || !set("ICCP", iccp) || !set("EXIF", text) ||
      WebPMuxAssemble(mux.get(), &whole) != WEBP_MUX_OK)
    throw IoError("encoding the WebP failed: its text and colour profile found no place");
  std::string bytes(reinterpret_cast<const char*>(whole.bytes), whole.size);
  WebPDataClear(&whole);
  return bytes;
}

}  // namespace

std::string encode_webp(const Image& image, const PictureText& text, int quality,
                        const std::string& profile, const std::string& exif) {
  if (image.channels == 1) return encode_webp(grey_to_rgb(image), text, quality, profile, exif);
  if (image.width > WEBP_MAX_DIMENSION || image.height > WEBP_MAX_DIMENSION)
    throw UsageError(str("a WebP holds at most ", WEBP_MAX_DIMENSION, " pixels a side, not ",
                         image.width, "x", image.height, "; write a PNG"));
  const std::string file = WebpWriter().encode(image, quality);
  if (text.empty() && profile.empty() && exif.empty()) return file;
  return extended_file(file, profile, make_exif(text, exif));
}

}  // namespace icedit
