#pragma once
// The decoders and encoders of three formats behind io/image.h; private to this folder.
#include <cstdint>
#include <string>

#include "io/files.h"
#include "io/image.h"

namespace icedit {

// What a decoder hands over: 1 (grey), 3 (RGB) or 4 (RGBA) channels as stored, not yet turned
// upright.
struct Decoded {
  Image image;
  int orientation = 1;  // EXIF's 1 ... 8
};

// Throws NoInputError where the header's size is none or above the limit; called before anything is
// allocated.
void check_size(int64_t width, int64_t height, const ReadOptions& options,
                const std::string& where);

// "FILE: this JPEG is truncated or damaged (REASON). ..."
[[noreturn]] void throw_damaged(const std::string& where, const char* format,
                                const std::string& reason);

// The same without the pixels. Width and height are as stored, 0 where the headers lack them.
struct PictureHead {
  int64_t width = 0, height = 0;
  int orientation = 1;
  const char* reduced = "";  // what 8-bit RGB does not hold of it
};

struct StoredProfile {
  std::string bytes;        // empty: none
  bool rgb_picture = true;  // false: of a grey or CMYK picture
};

// How files of one format are read. All throw NoInputError where the file cannot be read.
struct Codec {
  Decoded (*decode)(Bytes bytes, const std::string& where, const ReadOptions& options);
  PictureHead (*head)(Bytes bytes, const std::string& where);
  PictureText (*text)(Bytes bytes, const std::string& where);
  std::string (*exif)(Bytes bytes, const std::string& where);       // as stored; empty: none
  StoredProfile (*profile)(Bytes bytes, const std::string& where);  // of whatever colour space
  int64_t (*frames)(Bytes bytes, const std::string& where);         // of an animation; else 1, or 0
};
extern const Codec kPngCodec, kJpegCodec, kWebpCodec;
const Codec& codec_of(Bytes bytes, const std::string& where);  // by the content, as picture_kind

// What keeps an ICC profile from being an RGB picture's; empty where nothing does.
std::string profile_fault(std::string_view profile);

// quality: 1 ... 100. PNG has none. JPEG stores colour at full resolution from 90 on. WebP is
// lossless at 100.
std::string encode_png(const Image& image, const PictureText& text, const std::string& profile,
                       const std::string& exif);
std::string encode_jpeg(const Image& image, const PictureText& text, int quality,
                        const std::string& profile, const std::string& exif);
std::string encode_webp(const Image& image, const PictureText& text, int quality,
                        const std::string& profile, const std::string& exif);

// value / 255, rounded; of a product of two bytes, as Pillow does it.
inline uint8_t divided_by_255(int value) {
  value += 128;
  return uint8_t((value + (value >> 8)) >> 8);
}

// RGBA as RGB: over a grey value (rounded as Pillow's paste with a mask), or with alpha dropped.
inline constexpr int kWhite = 255, kBlack = 0;
Image laid_on(const Image& rgba, int background);
Image without_alpha(const Image& rgba);
Image grey_to_rgb(const Image& grey);

}  // namespace icedit
