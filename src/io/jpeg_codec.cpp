// JPEG by libjpeg-turbo. Its errors leave by longjmp, so the calls stand in `guarded` and own
// nothing.
#include <cstdio>
// jpeglib.h needs FILE declared before it.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <cstdlib>

#include "base/error.h"
#include "base/log.h"
#include "io/exif.h"
#include "io/picture_codecs.h"

namespace icedit {
namespace {

using std::literals::operator""sv;

constexpr int kMaxScans =
    500;  // a progressive file has about ten; each costs a pass over the picture
constexpr size_t kMaxSegment = 65533;  // two of a marker's 65,535 bytes are its length
constexpr std::string_view kExifMark = "Exif\0\0"sv;
constexpr std::string_view kXmpMark = "http://ns.adobe.com/xap/1.0/\0"sv;

struct JpegErrors {
  jpeg_error_mgr base;  // first: libjpeg hands this one back
  jmp_buf jump;
  char reason[JMSG_LENGTH_MAX];
};

JpegErrors* errors_of(j_common_ptr info) {
  return reinterpret_cast<JpegErrors*>(info->err);
}

void on_error(j_common_ptr info) {
  info->err->format_message(info, errors_of(info)->reason);
  std::longjmp(errors_of(info)->jump, 1);
}

// libjpeg goes on after a warning and fills in grey. What is missing or wrong in the data is an
// error here.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;  // a trace
  switch (info->err->msg_code) {
    case JWRN_ADOBE_XFORM:        // unknown transform code: libjpeg assumes YCbCr
    case JWRN_BOGUS_PROGRESSION:  // scans in an odd order
    case JWRN_EXTRANEOUS_DATA:    // bytes between markers
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA:
      return;
    default:
      on_error(info);
  }
}

void on_output(j_common_ptr) {}

void set_errors(JpegErrors& errors) {
  jpeg_std_error(&errors.base);
  errors.base.error_exit = on_error;
  errors.base.emit_message = on_message;
  errors.base.output_message = on_output;
  errors.reason[0] = '\0';
}

// Runs calls of libjpeg; false after an error. What `calls` makes is not destroyed on an error.
template <class Calls>
bool guarded(JpegErrors& errors, Calls calls) {
  if (setjmp(errors.jump)) return false;
  calls();
  return true;
}

void on_progress(j_common_ptr info) {
  const auto* decompress = reinterpret_cast<j_decompress_ptr>(info);
  if (decompress->input_scan_number > kMaxScans) {
    std::snprintf(errors_of(info)->reason, JMSG_LENGTH_MAX, "more than %d scans", kMaxScans);
    std::longjmp(errors_of(info)->jump, 1);
  }
}

class JpegReader {
 public:
  JpegReader(Bytes bytes, const std::string& where) : where_(where) {
    set_errors(errors_);
    info_.err = &errors_.base;
    progress_.progress_monitor = on_progress;
    run([this, bytes] {
      jpeg_create_decompress(&info_);
      info_.progress = &progress_;
      jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    });
  }
  ~JpegReader() { jpeg_destroy_decompress(&info_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  template <class Calls>
  void run(Calls calls) {
    if (!guarded(errors_, calls)) throw_damaged(where_, "JPEG", errors_.reason);
  }
  jpeg_decompress_struct& info() { return info_; }

 private:
  std::string where_;
  JpegErrors errors_{};
  jpeg_progress_mgr progress_{};
  jpeg_decompress_struct info_{};
};

// a * b / 255, rounded as Pillow does it.
uint8_t times(int a, int b) {
  const int t = a * b + 128;
  return uint8_t((t + (t >> 8)) >> 8);
}

// Adobe stores CMYK inverted, and like Pillow we take every CMYK JPEG for such: a stored 255 is no
// ink.
void cmyk_to_rgb(const uint8_t* cmyk, uint8_t* rgb, int width) {
  for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3)
    for (int c = 0; c < 3; ++c)
      rgb[c] = uint8_t(std::max(0, cmyk[3] - times(255 - cmyk[c], cmyk[3])));
}

struct Segment {
  uint8_t marker;
  std::string_view data;
};

// The segments in front of the pixels; stops at whatever is malformed.
std::vector<Segment> segments_of(Bytes bytes) {
  const std::string_view file(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<Segment> segments;
  size_t at = 2;
  while (at + 4 <= file.size() && uint8_t(file[at]) == 0xff) {
    const auto marker = uint8_t(file[at + 1]);
    if (marker == 0xff) {  // fill byte
      ++at;
      continue;
    }
    if (marker == 0x00 || marker == 0x01 || (marker >= 0xd0 && marker <= 0xda)) break;
    const size_t size = size_t(uint8_t(file[at + 2])) << 8 | uint8_t(file[at + 3]);
    if (size < 2 || at + 2 + size > file.size()) break;
    segments.push_back({marker, file.substr(at + 4, size - 2)});
    at += 2 + size;
  }
  return segments;
}

// The EXIF block; one larger than a segment goes on in the next.
std::string exif_of(const std::vector<Segment>& segments) {
  std::string exif;
  for (const Segment& s : segments)
    if (s.marker == 0xe1 && s.data.starts_with(kExifMark)) exif += s.data.substr(kExifMark.size());
  return exif;
}

int orientation_of(const std::vector<Segment>& segments) {
  if (const int found = exif_orientation(as_bytes(exif_of(segments)))) return found;
  for (const Segment& s : segments)
    if (s.marker == 0xe1 && s.data.starts_with(kXmpMark))
      if (const int found = xmp_orientation(s.data)) return found;
  return 1;
}

}  // namespace

Decoded decode_jpeg(Bytes bytes, const std::string& where, const ReadOptions& options) {
  JpegReader reader(bytes, where);
  jpeg_decompress_struct& info = reader.info();
  reader.run([&info] { jpeg_read_header(&info, TRUE); });
  check_size(info.image_width, info.image_height, options, where);
  const int components = info.num_components;
  if (components != 1 && components != 3 && components != 4)
    throw NoInputError(str(where, ": this JPEG has ", components,
                           " colour components, 1, 3 or 4 are read; save it again as RGB"));

  Decoded decoded;
  decoded.orientation = orientation_of(segments_of(bytes));
  decoded.image = Image(int(info.image_width), int(info.image_height), components == 1 ? 1 : 3);
  std::vector<uint8_t> cmyk(components == 4 ? size_t(info.image_width) * 4 : 0);
  Image& image = decoded.image;
  reader.run([&info, &image, &cmyk, components] {
    info.out_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
      uint8_t* const to = image.at(0, int(info.output_scanline));
      JSAMPROW row = components == 4 ? cmyk.data() : to;
      jpeg_read_scanlines(&info, &row, 1);
      if (components == 4) cmyk_to_rgb(row, to, image.width);
    }
    jpeg_finish_decompress(&info);
  });
  return decoded;
}

PictureText read_jpeg_text(Bytes bytes) {
  return read_exif_text(as_bytes(exif_of(segments_of(bytes))));
}

namespace {

class JpegWriter {
 public:
  JpegWriter() {
    set_errors(errors_);
    info_.err = &errors_.base;
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
    if (!guarded(errors_, calls)) throw IoError(str("encoding the JPEG failed: ", errors_.reason));
  }
  jpeg_compress_struct& info() { return info_; }
  std::string bytes() const { return {reinterpret_cast<const char*>(bytes_), size_}; }

 private:
  JpegErrors errors_{};
  jpeg_compress_struct info_{};
  unsigned char* bytes_ = nullptr;
  unsigned long size_ = 0;
};

}  // namespace

std::string encode_jpeg(const Image& image, const PictureText& text, int quality) {
  if (image.channels == 4) return encode_jpeg(on_white(image), text, quality);
  if (image.width > JPEG_MAX_DIMENSION || image.height > JPEG_MAX_DIMENSION)
    throw UsageError(str("a JPEG holds at most ", JPEG_MAX_DIMENSION, " pixels a side, not ",
                         image.width, "x", image.height, "; write a PNG"));
  std::string exif = make_exif(text);
  if (!exif.empty()) exif.insert(0, kExifMark);
  if (exif.size() > kMaxSegment) {  // the picture itself must not be lost for it
    log::warn(str("the picture's text of ", exif.size(),
                  " bytes is left out: a JPEG holds 65533, write a PNG to keep it"));
    exif.clear();
  }
  JpegWriter writer;
  jpeg_compress_struct& info = writer.info();
  writer.run([&info, &image, &exif, quality] {
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
    while (info.next_scanline < info.image_height) {
      JSAMPROW row = const_cast<JSAMPROW>(image.at(0, int(info.next_scanline)));
      jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
  });
  return writer.bytes();
}

}  // namespace icedit
