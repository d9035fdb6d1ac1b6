// JPEG pixels and text, by libjpeg-turbo.
#include <cstdio>
// jpeglib.h needs FILE declared before it.
#include <jpeglib.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "io/exif.h"
#include "io/jpeg_calls.h"
#include "io/picture_codecs.h"

namespace icedit {
namespace {

using std::literals::operator""sv;

// A progressive file has about ten; each costs a pass over the picture.
constexpr int kMaxScans = 500;
constexpr std::string_view kXmpMark = "http://ns.adobe.com/xap/1.0/\0"sv;

void on_progress(j_common_ptr info) {
  const auto* decompress = reinterpret_cast<j_decompress_ptr>(info);
  if (decompress->input_scan_number > kMaxScans)
    jpeg::Errors::fail(info, "it has more than 500 scans");
}

class JpegReader {
 public:
  JpegReader(Bytes bytes, const std::string& where) : where_(where) {
    info_.err = errors_.handler();
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
    if (!errors_.run(calls)) throw_damaged(where_, "JPEG", errors_.reason());
  }
  jpeg_decompress_struct& info() { return info_; }

 private:
  std::string where_;
  jpeg::Errors errors_;
  jpeg_progress_mgr progress_{};
  jpeg_decompress_struct info_{};
};

// Adobe stores CMYK inverted, and like Pillow we take every CMYK JPEG for such: a stored 255 is no
// ink.
void cmyk_to_rgb(const uint8_t* cmyk, uint8_t* rgb, int width) {
  for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3)
    for (int c = 0; c < 3; ++c)
      rgb[c] = uint8_t(std::max(0, cmyk[3] - divided_by_255((255 - cmyk[c]) * cmyk[3])));
}

struct Segment {
  uint8_t marker;
  std::string_view data;
};

// The segments in front of the pixels; stops at whatever is malformed.
std::vector<Segment> segments_of(Bytes bytes) {
  const std::string_view file = as_text(bytes);
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
    if (s.marker == 0xe1 && s.data.starts_with(jpeg::kExifMark))
      exif += s.data.substr(jpeg::kExifMark.size());
  return exif;
}

int orientation_of(const std::vector<Segment>& segments) {
  if (const int found = exif_orientation(as_bytes(exif_of(segments)))) return found;
  for (const Segment& s : segments)
    if (s.marker == 0xe1 && s.data.starts_with(kXmpMark))
      if (const int found = xmp_orientation(s.data)) return found;
  return 1;
}

PictureHead jpeg_head(Bytes bytes, const std::string&) {
  PictureHead head;
  const std::vector<Segment> segments = segments_of(bytes);
  for (const Segment& s : segments) {
    // A frame's header: precision, height, width. Three of these markers are tables.
    const bool tables = s.marker == 0xc4 || s.marker == 0xc8 || s.marker == 0xcc;
    if (s.marker < 0xc0 || s.marker > 0xcf || tables || s.data.size() < 5) continue;
    const auto number = [&](size_t at) {
      return uint8_t(s.data[at]) << 8 | uint8_t(s.data[at + 1]);
    };
    head.height = number(1), head.width = number(3);
    if (s.data.size() > 5 && s.data[5] == 4) head.reduced = "CMYK";
    break;
  }
  head.orientation = orientation_of(segments);
  return head;
}

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

PictureText read_jpeg_text(Bytes bytes, const std::string&) {
  return read_exif_text(as_bytes(exif_of(segments_of(bytes))));
}

std::string read_jpeg_exif(Bytes bytes, const std::string&) {
  return exif_of(segments_of(bytes));
}

StoredProfile read_jpeg_profile(Bytes bytes, const std::string& where) {
  JpegReader reader(bytes, where);
  jpeg_decompress_struct& info = reader.info();
  JOCTET* data = nullptr;
  unsigned size = 0;
  reader.run([&info, &data, &size] {
    jpeg_save_markers(&info, JPEG_APP0 + 2, 0xffff);
    jpeg_read_header(&info, TRUE);
    jpeg_read_icc_profile(&info, &data, &size);
  });
  const std::unique_ptr<JOCTET, decltype(&std::free)> owner(data, &std::free);
  StoredProfile stored;
  stored.rgb_picture = info.num_components == 3;
  if (data) stored.bytes.assign(reinterpret_cast<const char*>(data), size);
  return stored;
}

int64_t one_frame(Bytes, const std::string&) {
  return 1;
}

}  // namespace

const Codec kJpegCodec = {decode_jpeg,    jpeg_head,         read_jpeg_text,
                          read_jpeg_exif, read_jpeg_profile, one_frame};

}  // namespace icedit
