#include "io/picture_kind.h"

#include <array>
#include <optional>

#include "base/error.h"
#include "base/shell.h"
#include "io/files.h"

namespace icedit {
namespace {

using std::literals::operator""sv;

struct Magic {
  size_t offset;
  std::string_view bytes;
  const char* name;
  const char* remedy;
};

// In a remedy's command $IN is the file, $FIRST the first picture of several in it as ImageMagick
// writes it, $OUT a new PNG.
constexpr const char* kHeif = "convert it first, e.g. `heif-convert $IN $OUT`";
constexpr const char* kAvif = "convert it first, e.g. `avifdec $IN $OUT`";
constexpr const char* kMagick = "convert it first, e.g. with ImageMagick: `convert $IN $OUT`";
constexpr const char* kFirst =
    "save one picture of it, e.g. with ImageMagick: `convert $FIRST $OUT`";
constexpr const char* kJxl = "convert it first, e.g. `djxl $IN $OUT`";
constexpr const char* kPdf = "render a page first, e.g. `pdftoppm -png -r 150 -f 1 -l 1 $IN page`";
constexpr const char* kRaw = "develop it first, e.g. with darktable or `dcraw -w $IN`";
constexpr const char* kSvg = "render it first, e.g. `rsvg-convert $IN -o $OUT`";
constexpr const char* kHtml = "the download brought a page instead of the picture; fetch it again";
constexpr const char* kLfs = "fetch the content with `git lfs pull`";
constexpr const char* kVideo = "save a frame first, e.g. `ffmpeg -i $IN -frames:v 1 $OUT`";

// The more particular comes first. ISO media files name their brand at byte 8.
constexpr std::array kForeign = {
    Magic{4, "ftypheic"sv, "a HEIC", kHeif},
    Magic{4, "ftypheix"sv, "a HEIC", kHeif},
    Magic{4, "ftyphevc"sv, "a HEIC", kHeif},
    Magic{4, "ftyphevx"sv, "a HEIC", kHeif},
    Magic{4, "ftypmif1"sv, "a HEIF", kHeif},
    Magic{4, "ftypmsf1"sv, "a HEIF", kHeif},
    Magic{4, "ftypavif"sv, "an AVIF", kAvif},
    Magic{4, "ftypavis"sv, "an AVIF", kAvif},
    Magic{4, "ftypcrx "sv, "a Canon CR3", kRaw},
    Magic{4, "ftyp"sv, "an MP4", kVideo},
    Magic{0, "GIF8"sv, "a GIF", kFirst},
    Magic{8, "CR\x02"sv, "a Canon CR2", kRaw},
    Magic{0, "II*\0"sv, "a TIFF", kFirst},
    Magic{0, "MM\0*"sv, "a TIFF", kFirst},
    Magic{0, "II+\0"sv, "a BigTIFF", kFirst},
    Magic{0, "MM\0+"sv, "a BigTIFF", kFirst},
    Magic{0, "\0\0\0\x0cjP  \r\n"sv, "a JPEG 2000", kMagick},
    Magic{0, "\xff\x4f\xff\x51"sv, "a JPEG 2000", kMagick},
    Magic{0, "\0\0\0\x0cJXL \r\n"sv, "a JPEG XL", kJxl},
    Magic{0, "\xff\x0a"sv, "a JPEG XL", kJxl},
    Magic{0, "%PDF"sv, "a PDF", kPdf},
    Magic{0, "8BPS"sv, "a Photoshop", kMagick},
    Magic{0, "\0\0\1\0"sv, "an ICO", kMagick},
    Magic{0, "<svg"sv, "an SVG", kSvg},
    Magic{0, "<?xml"sv, "an XML or SVG", kSvg},
    Magic{0, "<!DOCTYPE"sv, "an HTML", kHtml},
    Magic{0, "<!doctype"sv, "an HTML", kHtml},
    Magic{0, "<html"sv, "an HTML", kHtml},
    Magic{0, "version https://git-lfs"sv, "a Git LFS pointer", kLfs},
    Magic{0, "P4"sv, "a PNM", kMagick},
    Magic{0, "P5"sv, "a PNM", kMagick},
    Magic{0, "P6"sv, "a PNM", kMagick},
    Magic{0, "BM"sv, "a BMP", kMagick},
};

bool has(std::string_view head, size_t offset, std::string_view magic) {
  return head.size() >= offset + magic.size() && head.substr(offset, magic.size()) == magic;
}

const Magic* foreign_kind(std::string_view head) {
  for (const Magic& m : kForeign)
    if (has(head, m.offset, m.bytes)) return &m;
  return nullptr;
}

std::optional<ImageFormat> own_kind(std::string_view head) {
  if (has(head, 0, "\x89PNG\r\n\x1a\n"sv)) return ImageFormat::kPng;
  if (has(head, 0, "\xff\xd8\xff"sv)) return ImageFormat::kJpeg;
  if (has(head, 0, "RIFF"sv) && has(head, 8, "WEBP"sv)) return ImageFormat::kWebp;
  return std::nullopt;
}

// Nothing that is there may be overwritten by the command.
Path new_png(const Path& file) {
  std::error_code ignored;
  Path png = file;
  png.replace_extension(".png");
  return std::filesystem::exists(png, ignored) ? Path(file.string() + ".png") : png;
}

// With the file's own name, unless it lies within another file: a row of Parquet, say.
std::string with_names(std::string remedy, const std::string& where) {
  std::error_code ignored;
  const Path file = std::filesystem::is_regular_file(where, ignored) ? where : "FILE";
  const auto put = [&](std::string_view mark, const std::string& name) {
    const size_t at = remedy.find(mark);
    if (at == remedy.npos) return false;
    remedy.replace(at, mark.size(), shell_quoted(name));
    return true;
  };
  put("$OUT", new_png(file).string());  // the last first: a name may hold a mark
  if (!put("$FIRST", file.string() + "[0]")) put("$IN", file.string());
  return remedy;
}

}  // namespace

const char* format_name(ImageFormat format) {
  return format == ImageFormat::kPng ? "PNG" : format == ImageFormat::kJpeg ? "JPEG" : "WebP";
}

bool is_picture_of_any_kind(Bytes bytes) {
  const std::string_view head = as_text(bytes);
  return own_kind(head) || foreign_kind(head) != nullptr;
}

ImageFormat picture_kind(Bytes bytes, const std::string& where) {
  if (bytes.empty()) throw NoInputError(str(where, ": the file is empty, a picture was expected"));
  const std::string_view head = as_text(bytes);
  if (const auto kind = own_kind(head)) return *kind;
  if (const Magic* m = foreign_kind(head))
    throw NoInputError(
        str(where, ": this is ", m->name,
            " file; only PNG, JPEG and WebP are read: ", with_names(m->remedy, where)));
  throw NoInputError(str(where,
                         ": not a picture that is read here (PNG, JPEG, WebP) and no known "
                         "format; is it the right file, and whole?"));
}

}  // namespace icedit
