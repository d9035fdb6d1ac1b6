#include "io/picture_kind.h"

#include <array>

#include "base/error.h"

namespace icedit {
namespace {

using std::literals::operator""sv;

struct Magic {
  size_t offset;
  std::string_view bytes;
  const char* name;
  const char* remedy;
};

constexpr const char* kHeif = "convert it first, e.g. `heif-convert photo.heic photo.jpg`";
constexpr const char* kAvif = "convert it first, e.g. `avifdec photo.avif photo.png`";
constexpr const char* kMagick =
    "convert it first, e.g. with ImageMagick: `convert photo photo.png`";
constexpr const char* kFirst =
    "save one picture of it, e.g. with ImageMagick: `convert 'x[0]' x.png`";
constexpr const char* kJxl = "convert it first, e.g. `djxl photo.jxl photo.png`";
constexpr const char* kPdf =
    "render a page first, e.g. `pdftoppm -png -r 150 -f 1 -l 1 file.pdf page`";
constexpr const char* kRaw = "develop it first, e.g. with darktable or `dcraw -w`";
constexpr const char* kSvg = "render it first, e.g. `rsvg-convert drawing.svg -o drawing.png`";
constexpr const char* kHtml = "the download brought a page instead of the picture; fetch it again";
constexpr const char* kLfs = "fetch the content with `git lfs pull`";
constexpr const char* kVideo = "save a frame first, e.g. `ffmpeg -i video -frames:v 1 frame.png`";

// The more particular comes first. ISO media files name their brand at byte 8.
constexpr std::array kForeign = {
    Magic{4, "ftypheic"sv, "HEIC", kHeif},
    Magic{4, "ftypheix"sv, "HEIC", kHeif},
    Magic{4, "ftyphevc"sv, "HEIC", kHeif},
    Magic{4, "ftyphevx"sv, "HEIC", kHeif},
    Magic{4, "ftypmif1"sv, "HEIF", kHeif},
    Magic{4, "ftypmsf1"sv, "HEIF", kHeif},
    Magic{4, "ftypavif"sv, "AVIF", kAvif},
    Magic{4, "ftypavis"sv, "AVIF", kAvif},
    Magic{4, "ftypcrx "sv, "Canon CR3", kRaw},
    Magic{4, "ftyp"sv, "MP4", kVideo},
    Magic{0, "GIF8"sv, "GIF", kFirst},
    Magic{8, "CR\x02"sv, "Canon CR2", kRaw},
    Magic{0, "II*\0"sv, "TIFF", kFirst},
    Magic{0, "MM\0*"sv, "TIFF", kFirst},
    Magic{0, "II+\0"sv, "BigTIFF", kFirst},
    Magic{0, "MM\0+"sv, "BigTIFF", kFirst},
    Magic{0, "\0\0\0\x0cjP  \r\n"sv, "JPEG 2000", kMagick},
    Magic{0, "\xff\x4f\xff\x51"sv, "JPEG 2000", kMagick},
    Magic{0, "\0\0\0\x0cJXL \r\n"sv, "JPEG XL", kJxl},
    Magic{0, "\xff\x0a"sv, "JPEG XL", kJxl},
    Magic{0, "%PDF"sv, "PDF", kPdf},
    Magic{0, "8BPS"sv, "Photoshop", kMagick},
    Magic{0, "\0\0\1\0"sv, "ICO", kMagick},
    Magic{0, "<svg"sv, "SVG", kSvg},
    Magic{0, "<?xml"sv, "XML or SVG", kSvg},
    Magic{0, "<!DOCTYPE"sv, "HTML", kHtml},
    Magic{0, "<!doctype"sv, "HTML", kHtml},
    Magic{0, "<html"sv, "HTML", kHtml},
    Magic{0, "version https://git-lfs"sv, "Git LFS pointer", kLfs},
    Magic{0, "P4"sv, "PNM", kMagick},
    Magic{0, "P5"sv, "PNM", kMagick},
    Magic{0, "P6"sv, "PNM", kMagick},
    Magic{0, "BM"sv, "BMP", kMagick},
};

bool has(std::string_view head, size_t offset, std::string_view magic) {
  return head.size() >= offset + magic.size() && head.substr(offset, magic.size()) == magic;
}

}  // namespace

ImageFormat picture_kind(Bytes bytes, const std::string& where) {
  if (bytes.empty()) throw NoInputError(str(where, ": the file is empty, a picture was expected"));
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (has(head, 0, "\x89PNG\r\n\x1a\n"sv)) return ImageFormat::kPng;
  if (has(head, 0, "\xff\xd8\xff"sv)) return ImageFormat::kJpeg;
  if (has(head, 0, "RIFF"sv) && has(head, 8, "WEBP"sv)) return ImageFormat::kWebp;
  for (const Magic& m : kForeign)
    if (has(head, m.offset, m.bytes))
      throw NoInputError(str(where, ": this is a ", m.name,
                             " file; only PNG, JPEG and WebP are read: ", m.remedy));
  throw NoInputError(str(where,
                         ": not a picture that is read here (PNG, JPEG, WebP) and no known "
                         "format; is it the right file, and whole?"));
}

}  // namespace icedit
