#include "io/image.h"

#include <algorithm>
#include <cctype>

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

// Upright; 1, 3 or, with keep_alpha, 4 channels.
Image decode(Bytes bytes, const std::string& where, const ReadOptions& options) {
  Decoded decoded = codec_of(bytes, where).decode(bytes, where, options);
  Image image = std::move(decoded.image);
  if (image.channels == 4 && !options.keep_alpha)
    image = options.pillow_exact ? without_alpha(image) : laid_on(image, kWhite);
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
  switch (picture_kind(bytes, where)) {
    case ImageFormat::kPng:
      return photo_exif(as_bytes(read_png_exif(bytes, where)), keep_location);
    case ImageFormat::kJpeg:
      return photo_exif(as_bytes(read_jpeg_exif(bytes)), keep_location);
    case ImageFormat::kWebp:
      return photo_exif(as_bytes(read_webp_exif(bytes)), keep_location);
  }
  return {};
}

StoredPicture read_picture(Bytes bytes, const std::string& where, const ReadOptions& options) {
  return {decode_image(bytes, where, options), read_colour_profile(bytes, where),
          count_frames(bytes, where)};
}

ImageFormat format_of(const Path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = char(std::tolower(uint8_t(c)));
  if (extension == ".png") return ImageFormat::kPng;
  if (extension == ".jpg" || extension == ".jpeg") return ImageFormat::kJpeg;
  if (extension == ".webp") return ImageFormat::kWebp;
  throw UsageError(str(path.string(), ": the name ends in '", extension,
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
