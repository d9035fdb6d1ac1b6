#pragma once
// Pictures: PNG, JPEG and WebP, in and out, as Pillow would read them.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/files.h"

namespace icedit {

// uint8, rows from the top, channels interleaved (HWC).
struct Image {
  int width = 0, height = 0;
  int channels = 3;  // 1 grey (L), 3 RGB, 4 RGBA
  std::vector<uint8_t> pixels;

  Image() = default;
  Image(int w, int h, int c = 3) : width(w), height(h), channels(c), pixels(size_t(w) * h * c) {}
  uint8_t* at(int x, int y) { return &pixels[(size_t(y) * width + x) * channels]; }
  const uint8_t* at(int x, int y) const { return &pixels[(size_t(y) * width + x) * channels]; }
  bool operator==(const Image&) const = default;
};

enum class ImageFormat { kPng, kJpeg, kWebp };

constexpr int64_t kMaxPixels = 89'478'485;  // Pillow's limit against decompression bombs

struct ReadOptions {
  int64_t max_pixels = kMaxPixels;  // checked before decoding
  // false: 16-bit grey is scaled (>> 8), alpha is composited on white. true: as Pillow's
  // convert("RGB"): 16-bit grey is clipped at 255, alpha is dropped.
  bool pillow_exact = false;
  bool keep_alpha = false;  // RGBA stays RGBA (4 channels), palette with transparency becomes RGBA
};

// The picture as RGB (or RGBA with keep_alpha), EXIF orientation applied. The format is told from
// the content, never the name. Throws NoInputError: not there, not a picture, HEIC/AVIF/GIF/...
// (named, with a remedy), truncated, too large.
Image read_image(const Path& path, const ReadOptions& options = {});
Image decode_image(Bytes bytes, const std::string& where, const ReadOptions& options = {});
// One channel, as Pillow's convert("L") (after composing alpha as above): for masks.
Image read_mask(const Path& path, const ReadOptions& options = {});
Image decode_mask(Bytes bytes, const std::string& where, const ReadOptions& options = {});
Image to_grey(const Image& rgb);

// Frames of an animated PNG or WebP, of which read_image gives the first; 1 of any other picture.
int64_t count_frames(const Path& path);
int64_t count_frames(Bytes bytes, const std::string& where);

// Text chunks that travel with a picture: PNG iTXt; JPEG and WebP EXIF UserComment (JSON object of
// the map).
using PictureText = std::map<std::string, std::string>;
PictureText read_picture_text(const Path& path);
PictureText read_picture_text(Bytes bytes, const std::string& where);

// The ICC profile that says which colours an RGB picture's values are: at most 4 MiB, of colour
// space 'RGB ', whole by its header; the values that decode_image gives are in it. Empty: the
// picture has none that is so. One of a grey or CMYK picture is left out with a warning, since the
// decoded picture is RGB. Throws NoInputError for what is no picture.
std::string read_colour_profile(const Path& path);
std::string read_colour_profile(Bytes bytes, const std::string& where);

// What goes along from a photo to its edit, as a TIFF block: photo_exif (io/exif.h) of its EXIF.
std::string read_photo_exif(Bytes bytes, const std::string& where, bool keep_location);

// All that an edit takes from a file, in one reading.
struct StoredPicture {
  Image image;          // decode_image's
  Image with_alpha;     // RGBA where it has alpha that counts; else empty
  std::string profile;  // read_colour_profile's
  std::string exif;     // read_photo_exif's
  int64_t frames = 1;   // count_frames'
  std::string reduced;  // what 8-bit RGB does not hold of it: "CMYK", "16 bits a channel"; or empty
};
StoredPicture read_picture(Bytes bytes, const std::string& where, const ReadOptions& options,
                           bool keep_location = false);

// A picture with alpha, whose colours on white are `edited`'s: where these are as they were, the
// pixel is the stored one. All of one size.
Image with_alpha_of(const Image& rgba, const Image& edited);

bool is_picture_name(const Path& path);  // by its extension, one that can be read and written
// The format that a file's extension asks for. Throws UsageError for one we do not write.
ImageFormat format_of(const Path& path);
// `profile`: one of read_colour_profile's, or none. libpng refuses some that other programs take;
// such a one is left out of a PNG with a warning. `exif`: one of read_photo_exif's, or none. Throws
// UsageError, IoError.
std::string encode_image(const Image& image, ImageFormat format, const PictureText& text = {},
                         int quality = 95, const std::string& profile = {},
                         const std::string& exif = {});
// Encodes and writes atomically. Throws UsageError, IoError.
void write_image(const Path& path, const Image& image, const PictureText& text = {},
                 int quality = 95, const std::string& profile = {});

}  // namespace icedit
