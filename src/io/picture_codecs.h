#pragma once
// The three decoders and encoders behind io/image.h; private to this folder.
#include <cstdint>
#include <string>

#include "io/bytes.h"
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
};
PictureHead png_head(Bytes bytes, const std::string& where);
PictureHead jpeg_head(Bytes bytes);
PictureHead webp_head(Bytes bytes);

Decoded decode_png(Bytes bytes, const std::string& where, const ReadOptions& options);
Decoded decode_jpeg(Bytes bytes, const std::string& where, const ReadOptions& options);
Decoded decode_webp(Bytes bytes, const std::string& where, const ReadOptions& options);

PictureText read_png_text(Bytes bytes, const std::string& where);
PictureText read_jpeg_text(Bytes bytes);
PictureText read_webp_text(Bytes bytes);

struct StoredProfile {
  std::string bytes;        // empty: none
  bool rgb_picture = true;  // false: of a grey or CMYK picture
};

// As stored, of whatever colour space. Throw NoInputError where it cannot be read.
StoredProfile read_png_profile(Bytes bytes, const std::string& where);
StoredProfile read_jpeg_profile(Bytes bytes, const std::string& where);
StoredProfile read_webp_profile(Bytes bytes);

// What keeps an ICC profile from being an RGB picture's; empty where nothing does.
std::string profile_fault(std::string_view profile);

// Of an animation; 0 of a still picture.
int64_t png_frames(Bytes bytes, const std::string& where);
int64_t webp_frames(Bytes bytes);

// quality: 1 ... 100. PNG has none. JPEG stores colour at full resolution from 90 on. WebP is
// lossless at 100.
std::string encode_png(const Image& image, const PictureText& text, const std::string& profile);
std::string encode_jpeg(const Image& image, const PictureText& text, int quality,
                        const std::string& profile);
std::string encode_webp(const Image& image, const PictureText& text, int quality,
                        const std::string& profile);

// RGBA as RGB: over a grey value (rounded as Pillow's paste with a mask), or with alpha dropped.
inline constexpr int kWhite = 255, kBlack = 0;
Image laid_on(const Image& rgba, int background);
Image without_alpha(const Image& rgba);
Image grey_to_rgb(const Image& grey);

}  // namespace icedit
