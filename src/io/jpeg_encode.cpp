// JPEG files, written by libjpeg-turbo.
#include <cstdio>
// jpeglib.h needs FILE declared before it.
#include <jpeglib.h>

#include <cstdlib>

#include "base/error.h"
#include "base/log.h"
#include "io/exif.h"
#include "io/jpeg_calls.h"
#include "io/picture_codecs.h"

namespace icedit {
namespace {

constexpr size_t kMaxSegment = 65533;  // two of a marker's 65,535 bytes are its length

class JpegWriter {
 public:
  JpegWriter() {
    info_.err = errors_.handler();
    run([this] {
      jpeg_create_compress(&info_);
      jpeg_mem_dest(&info_, &bytes_, &size_);
    });
  }
  ~JpegWriter() {
    jpeg_destroy_compress(&info_);
    std::free(bytes_);
  }
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;

  template <class Calls>
  void run(Calls calls) {
    if (!errors_.run(calls)) throw IoError(str("encoding the JPEG failed: ", errors_.reason()));
  }
  jpeg_compress_struct& info() { return info_; }
  std::string bytes() const { return {reinterpret_cast<const char*>(bytes_), size_}; }

 private:
  jpeg::Errors errors_;
  jpeg_compress_struct info_{};
  unsigned char* bytes_ = nullptr;
  unsigned long size_ = 0;
};

}  // namespace

std::string encode_jpeg(const Image& image, const PictureText& text, int quality,
                        const std::string& profile, const std::string& photo) {
  if (image.channels == 4)
    return encode_jpeg(laid_on(image, kWhite), text, quality, profile, photo);
  if (image.width > JPEG_MAX_DIMENSION || image.height > JPEG_MAX_DIMENSION)
    throw UsageError(str("a JPEG holds at most ", JPEG_MAX_DIMENSION, " pixels a side, not ",
                         image.width, "x", image.height, "; write a PNG"));
  const auto marked = [](const std::string& exif) {
    return exif.empty() ? exif : std::string(jpeg::kExifMark) + exif;
  };
  std::string exif = marked(make_exif(text, photo));
  if (exif.size() > kMaxSegment && !photo.empty()) {
    log::warn("the photo's EXIF is left out: with the recipe it is more than a JPEG holds");
    exif = marked(make_exif(text));
  }
  if (exif.size() > kMaxSegment) {  // the picture itself must not be lost for it
    log::warn(str("the picture's text of ", exif.size(),
                  " bytes is left out: a JPEG holds 65533, write a PNG to keep it"));
    exif.clear();
  }
  JpegWriter writer;
  jpeg_compress_struct& info = writer.info();
  writer.run([&info, &image, &exif, &profile, quality] {
    info.image_width = image.width;
    info.image_height = image.height;
    info.input_components = image.channels;
    info.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, quality, /*force_baseline=*/TRUE);
    if (quality >= 90) info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
    info.optimize_coding = TRUE;
    jpeg_start_compress(&info, TRUE);
    if (!exif.empty())
      jpeg_write_marker(&info, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(exif.data()),
                        unsigned(exif.size()));
    if (!profile.empty())
      jpeg_write_icc_profile(&info, reinterpret_cast<const JOCTET*>(profile.data()),
                             unsigned(profile.size()));
    while (info.next_scanline < info.image_height) {
      JSAMPROW row = const_cast<JSAMPROW>(image.at(0, int(info.next_scanline)));
      jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
  });
  return writer.bytes();
}

}  // namespace icedit
