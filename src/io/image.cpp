#include "io/image.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "base/error.h"
#include "io/exif.h"
#include "io/picture_codecs.h"
#include "io/picture_kind.h"

namespace icedit {
namespace {

// However large the limit, sizes in bytes must not overflow.
constexpr int64_t kHardMaxPixels = int64_t{1} << 32;
constexpr size_t kMaxFileBytes = size_t{1} << 30;

// Shows what is stored as EXIF's orientation says. Sources: the Exif standard, 4.6.4; Pillow's
// ImageOps.exif_transpose.
Image upright(const Image& stored, int orientation) {
  if (orientation <= 1) return stored;
  const ptrdiff_t w = stored.width, h = stored.height;
  struct Walk {
    ptrdiff_t start, right,
        down;  // in stored pixels: the first one, a step to the right, a step down
  };
  const Walk walks[] = {
      {w - 1, -1, w},        // 2: mirrored
      {w * h - 1, -1, -w},   // 3: upside down
      {w * (h - 1), 1, -w},  // 4: mirrored, upside down
      {0, w, 1},             // 5: transposed
      {w * (h - 1), -w, 1},  // 6: turn it clockwise
      {w * h - 1, -w, -1},   // 7: transposed along the other diagonal
      {w - 1, w, -1},        // 8: turn it anticlockwise
  };
  const Walk walk = walks[orientation - 2];
  const bool swapped = orientation >= 5;
  Image shown(swapped ? stored.height : stored.width, swapped ? stored.width : stored.height,
              stored.channels);
  const size_t c = stored.channels;
  uint8_t* to = shown.pixels.data();
  for (int y = 0; y < shown.height; ++y) {
    ptrdiff_t from = walk.start + y * walk.down;
    for (int x = 0; x < shown.width; ++x, from += walk.right, to += c)
      std::copy_n(&stored.pixels[size_t(from) * c], c, to);
  }
  return shown;
}

Image on_white(const Image& rgba, const ReadOptions& options) {
  return options.pillow_exact ? without_alpha(rgba) : laid_on(rgba, kWhite);
}

// Upright; 1, 3 or, with keep_alpha, 4 channels.
Image decode(Bytes bytes, const std::string& where, const ReadOptions& options) {
  Decoded decoded = codec_of(bytes, where).decode(bytes, where, options);
  Image image = std::move(decoded.image);
  if (image.channels == 4 && !options.keep_alpha) image = on_white(image, options);
  return decoded.orientation > 1 ? upright(image, decoded.orientation) : image;
}

std::string file_bytes(const Path& path) {
  return read_file(path, kMaxFileBytes);
}

}  // namespace

const Codec& codec_of(Bytes bytes, const std::string& where) {
  const ImageFormat format = picture_kind(bytes, where);
  if (format == ImageFormat::kPng) return kPngCodec;
  return format == ImageFormat::kJpeg ? kJpegCodec : kWebpCodec;
}

void check_size(int64_t width, int64_t height, const ReadOptions& options,
                const std::string& where) {
  if (width < 1 || height < 1)
    throw NoInputError(
        str(where, ": the picture's size is ", width, "x", height, ", it has no pixel"));
  const int64_t limit = std::min(options.max_pixels, kHardMaxPixels);
  if (width > limit / height)
    throw NoInputError(str(where, ": ", width, "x", height, " are ", width * height,
                           " pixels, the limit is ", limit,
                           "; make the picture smaller, or raise --max-pixels if you trust it"));
}

void throw_damaged(const std::string& where, const char* format, const std::string& reason) {
  throw NoInputError(str(where, ": this ", format, " is truncated or damaged (", reason,
                         "); copy or download it again, or save it anew in another program"));
}

Image without_alpha(const Image& rgba) {
  Image rgb(rgba.width, rgba.height);
  const uint8_t* from = rgba.pixels.data();
  for (size_t i = 0; i < rgb.pixels.size(); i += 3, from += 4) std::copy_n(from, 3, &rgb.pixels[i]);
  return rgb;
}

Image laid_on(const Image& rgba, int background) {
  Image rgb(rgba.width, rgba.height);
  const uint8_t* from = rgba.pixels.data();
  for (size_t i = 0; i < rgb.pixels.size(); i += 3, from += 4) {
    const int alpha = from[3];
    for (int c = 0; c < 3; ++c)
      rgb.pixels[i + c] = divided_by_255(from[c] * alpha + background * (255 - alpha));
  }
  return rgb;
}

Image grey_to_rgb(const Image& grey) {
  Image rgb(grey.width, grey.height);
  for (size_t i = 0; i < grey.pixels.size(); ++i)
    std::fill_n(&rgb.pixels[3 * i], 3, grey.pixels[i]);
  return rgb;
}

Image decode_image(Bytes bytes, const std::string& where, const ReadOptions& options) {
  Image image = decode(bytes, where, options);
  return image.channels == 1 ? grey_to_rgb(image) : image;
}

Image read_image(const Path& path, const ReadOptions& options) {
  return decode_image(as_bytes(file_bytes(path)), path.string(), options);
}

Image decode_mask(Bytes bytes, const std::string& where, const ReadOptions& options) {
  ReadOptions with_alpha = options;
  with_alpha.keep_alpha = !options.pillow_exact;
  const Image painted = decode(bytes, where, with_alpha);
  return to_grey(painted.channels == 4 ? laid_on(painted, kBlack) : painted);
}

Image read_mask(const Path& path, const ReadOptions& options) {
  return decode_mask(as_bytes(file_bytes(path)), path.string(), options);
}

Image to_grey(const Image& image) {
  if (image.channels == 1) return image;
  Image grey(image.width, image.height, 1);
  const uint8_t* from = image.pixels.data();
  for (uint8_t& to :
       grey.pixels) {  // ITU-R 601 luma in 16-bit fixed point, as Pillow's convert("L")
    to = uint8_t((from[0] * 19595 + from[1] * 38470 + from[2] * 7471 + 0x8000) >> 16);
    from += image.channels;
  }
  return grey;
}

int64_t count_frames(Bytes bytes, const std::string& where) {
  return std::max<int64_t>(1, codec_of(bytes, where).frames(bytes, where));
}

int64_t count_frames(const Path& path) {
  return count_frames(as_bytes(file_bytes(path)), path.string());
}

PictureText read_picture_text(Bytes bytes, const std::string& where) {
  return codec_of(bytes, where).text(bytes, where);
}

PictureText read_picture_text(const Path& path) {
  return read_picture_text(as_bytes(file_bytes(path)), path.string());
}

std::string read_colour_profile(const Path& path) {
  return read_colour_profile(as_bytes(file_bytes(path)), path.string());
}

std::string read_photo_exif(Bytes bytes, const std::string& where, bool keep_location) {
  return photo_exif(as_bytes(codec_of(bytes, where).exif(bytes, where)), keep_location);
}

StoredPicture read_picture(Bytes bytes, const std::string& where, const ReadOptions& options,
                           bool keep_location) {
  ReadOptions keep_alpha = options;
  keep_alpha.keep_alpha = true;
  StoredPicture picture;
  picture.image = decode_image(bytes, where, keep_alpha);
  if (picture.image.channels == 4) {
    Image stored = std::move(picture.image);
    picture.image = on_white(stored, options);
    if (!options.pillow_exact) picture.with_alpha = std::move(stored);
  }
  picture.profile = read_colour_profile(bytes, where);
  picture.exif = read_photo_exif(bytes, where, keep_location);
  picture.frames = count_frames(bytes, where);
  picture.reduced = codec_of(bytes, where).head(bytes, where).reduced;
  return picture;
}

Image with_alpha_of(const Image& rgba, const Image& edited) {
  const Image before = laid_on(rgba, kWhite);
  Image out = rgba;
  const size_t pixels = size_t(rgba.width) * rgba.height;
  for (size_t i = 0; i < pixels; ++i) {
    const uint8_t *was = &before.pixels[3 * i], *is = &edited.pixels[3 * i];
    uint8_t* to = &out.pixels[4 * i];
    if (std::equal(was, was + 3, is) || to[3] == 0) continue;
    for (int c = 0; c < 3; ++c) {  // is = to * alpha + 255 (1 - alpha)
      const int alpha = to[3], colour = (255 * is[c] - 255 * (255 - alpha) + alpha / 2) / alpha;
      to[c] = uint8_t(std::clamp(colour, 0, 255));
    }
  }
  return out;
}

std::optional<ImageFormat> format_named(const Path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = char(std::tolower(uint8_t(c)));
  if (extension == ".png") return ImageFormat::kPng;
  if (extension == ".jpg" || extension == ".jpeg") return ImageFormat::kJpeg;
  if (extension == ".webp") return ImageFormat::kWebp;
  return {};
}

bool is_picture_name(const Path& path) {
  return format_named(path).has_value();
}

ImageFormat format_of(const Path& path) {
  if (const auto format = format_named(path)) return *format;
  throw UsageError(str(path.string(), ": the name ends in '", path.extension().string(),
                       "', pictures are written as .png, .jpg, .jpeg or .webp"));
}

std::string encode_image(const Image& image, ImageFormat format, const PictureText& text,
                         int quality, const std::string& profile, const std::string& exif) {
  const int c = image.channels;
  if (image.width < 1 || image.height < 1 || (c != 1 && c != 3 && c != 4) ||
      image.pixels.size() != size_t(image.width) * image.height * c)
    throw UsageError(str("a picture of ", image.width, "x", image.height, " with ", c,
                         " channels and ", image.pixels.size(), " bytes cannot be written"));
  if (quality < 1 || quality > 100)
    throw UsageError(str("quality is ", quality, ", expected 1 to 100"));
  if (const std::string fault = profile_fault(profile); !profile.empty() && !fault.empty())
    throw UsageError(str("a colour profile cannot be written: ", fault));
  if (!profile.empty() && c == 1)
    throw UsageError("a grey picture cannot have an RGB picture's colour profile");
  switch (format) {
    case ImageFormat::kPng:
      return encode_png(image, text, profile, exif);
    case ImageFormat::kJpeg:
      return encode_jpeg(image, text, quality, profile, exif);
    case ImageFormat::kWebp:
      return encode_webp(image, text, quality, profile, exif);
  }
  throw UsageError("unknown picture format");
}

void write_image(const Path& path, const Image& image, const PictureText& text, int quality,
                 const std::string& profile) {
  const std::string bytes = encode_image(image, format_of(path), text, quality, profile);
  write_text_atomically(path, bytes);
}

}  // namespace icedit
