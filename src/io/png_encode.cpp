// PNG files, written by libpng.
#include <png.h>

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "io/picture_codecs.h"
#include "io/png_calls.h"
#include "io/utf8.h"

namespace icedit {
namespace {

class PngWriter {
 public:
  explicit PngWriter(std::string* out) {
    state_.out = out;
    png_ = png_create_write_struct(PNG_LIBPNG_VER_STRING, &state_, png::on_error, png::on_warning);
    info_ = png_ ? png_create_info_struct(png_) : nullptr;
    if (!info_) {
      png_destroy_write_struct(&png_, &info_);
      throw std::bad_alloc();
    }
  }
  ~PngWriter() { png_destroy_write_struct(&png_, &info_); }
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;

  template <class Calls>
  void run(Calls calls) {
    if (!png::guarded(png_, calls)) throw IoError(str("encoding the PNG failed: ", state_.reason));
  }

  png_structp png() { return png_; }
  png_infop info() { return info_; }
  png::State* state() { return &state_; }

 private:
  png::State state_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

void on_write(png_structp png, png_bytep from, size_t size) {
  auto* state = static_cast<png::State*>(png_get_io_ptr(png));
  bool written = true;
  try {
    state->out->append(reinterpret_cast<const char*>(from), size);
  } catch (const std::bad_alloc&) {
    written = false;
  }
  if (!written) png_error(png, "out of memory");
}

void on_flush(png_structp) {}

// A PNG keyword: 1 to 79 printable characters, no space at either end or twice in a row.
void check_key(const std::string& key) {
  const bool printable =
      std::all_of(key.begin(), key.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (key.empty() || key.size() > 79 || !printable || key.front() == ' ' || key.back() == ' ' ||
      key.find("  ") != key.npos)
    throw UsageError(str("'", key,
                         "' cannot be the key of a picture's text: PNG wants 1 to 79 printable "
                         "ASCII characters without needless spaces"));
}

// libpng looks into the profile; one that it refuses is an error of the whole file but for
// png_set_benign_errors.
void set_profile(png_structp png, png_infop info, const std::string& profile) {
  png_set_benign_errors(png, 1);
  png_set_iCCP(png, info, "ICC profile", PNG_COMPRESSION_TYPE_BASE,
               reinterpret_cast<png_const_bytep>(profile.data()), png_uint_32(profile.size()));
  png_set_benign_errors(png, 0);
}

}  // namespace

std::string encode_png(const Image& image, const PictureText& text, const std::string& profile,
                       const std::string& exif) {
  std::vector<std::string> values;
  std::vector<png_text> chunks;
  values.reserve(text.size());  // the chunks point into them
  for (const auto& [key, value] : text) {
    check_key(key);
    values.push_back(utf8_without_nul(value));
    png_text chunk{};
    chunk.compression = PNG_ITXT_COMPRESSION_NONE;
    chunk.key = const_cast<char*>(key.c_str());
    chunk.text = values.back().data();
    chunk.itxt_length = values.back().size();
    chunks.push_back(chunk);
  }
  const int type = image.channels == 1   ? PNG_COLOR_TYPE_GRAY
                   : image.channels == 3 ? PNG_COLOR_TYPE_RGB
                                         : PNG_COLOR_TYPE_RGB_ALPHA;
  std::string out;
  PngWriter writer(&out);
  writer.run([&writer, &image, &chunks, &profile, &exif, type] {
    png_structp png = writer.png();
    png_set_write_fn(png, writer.state(), on_write, on_flush);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_IHDR(png, writer.info(), image.width, image.height, 8, type, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (!profile.empty()) set_profile(png, writer.info(), profile);
    if (!exif.empty()) {
      png_set_eXIf_1(png, writer.info(), png_uint_32(exif.size()),
                     reinterpret_cast<png_bytep>(const_cast<char*>(exif.data())));
    }
    if (!chunks.empty()) png_set_text(png, writer.info(), chunks.data(), int(chunks.size()));
    png_write_info(png, writer.info());
    for (int y = 0; y < image.height; ++y) png_write_row(png, image.at(0, y));
    png_write_end(png, nullptr);
  });
  if (!profile.empty() && !png_get_valid(writer.png(), writer.info(), PNG_INFO_iCCP))
    log::warn(
        "the picture's colour profile is left out: libpng finds it malformed; write a JPEG or WebP "
        "to keep it");
  return out;
}

}  // namespace icedit
