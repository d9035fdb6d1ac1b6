#include "io/exif.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "io/files.h"
#include "io/utf8.h"

namespace icedit {
namespace {

using std::literals::operator""sv;
using SortedJson = nlohmann::json;

constexpr uint16_t kDescription = 0x010e, kOrientation = 0x0112, kSoftware = 0x0131,
                   kExifDirectory = 0x8769, kUserComment = 0x9286;
constexpr uint16_t kByte = 1, kAscii = 2, kShort = 3, kLong = 4;

struct Entry {
  uint16_t tag, type;
  uint32_t count;
  std::string_view value;  // the bytes the entry points to, inside the block
};

// A TIFF block: 2 bytes order ("II" or "MM"), 42, offset of the first directory. A directory: 2
// bytes count, then entries of 12 bytes: tag 2, type 2, count 4, value or its offset 4. Offsets
// count from the block's start.
class Tiff {
 public:
  explicit Tiff(Bytes bytes) : block_(as_text(bytes)) {
    while (block_.starts_with("Exif\0\0"sv)) block_.remove_prefix(6);
    big_endian_ = block_.starts_with("MM\0*"sv);
    valid_ = block_.size() >= 8 && (big_endian_ || block_.starts_with("II*\0"sv));
  }

  std::optional<Entry> find(uint32_t directory, uint16_t tag) const {
    if (!valid_ || uint64_t{directory} + 2 > block_.size()) return {};
    const uint32_t entries = number(directory, 2);
    for (uint32_t i = 0; i < entries; ++i) {
      const uint64_t at = uint64_t{directory} + 2 + uint64_t{12} * i;
      if (at + 12 > block_.size()) return {};
      if (number(at, 2) == tag) return entry(at);
    }
    return {};
  }

  uint32_t first_directory() const { return valid_ ? number(4, 4) : 0; }

  // The first number of an entry; none for another type.
  std::optional<uint32_t> integer(const std::optional<Entry>& e) const {
    if (!e || e->count == 0) return {};
    const size_t size = type_size(e->type);
    if (e->type != kByte && e->type != kShort && e->type != kLong) return {};
    return number(size_t(e->value.data() - block_.data()), size);
  }

 private:
  static size_t type_size(uint16_t type) {
    return type == kShort ? 2 : type == kLong ? 4 : 1;  // of the types looked at here
  }

  uint32_t number(size_t at, size_t size) const {
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i)
      value = value << 8 | uint8_t(block_[big_endian_ ? at + i : at + size - 1 - i]);
    return value;
  }

  std::optional<Entry> entry(size_t at) const {
    Entry e{uint16_t(number(at, 2)), uint16_t(number(at + 2, 2)), number(at + 4, 4), {}};
    const uint64_t size = uint64_t{e.count} * type_size(e.type);
    const uint64_t begin = size <= 4 ? at + 8 : number(at + 8, 4);
    if (begin + size > block_.size()) return {};
    e.value = block_.substr(begin, size);
    return e;
  }

  std::string_view block_;
  bool big_endian_ = false, valid_ = false;
};

// The text of an ASCII entry, without what follows its NUL.
std::string ascii(const Entry& e) {
  return utf8_without_nul(std::string(e.value.substr(0, e.value.find('\0'))));
}

bool read_json(std::string_view comment, PictureText& text) {
  const SortedJson json = SortedJson::parse(comment, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return false;
  for (const auto& [key, value] : json.items())
    if (value.is_string())
      text[key] = value.get<std::string>();
    else if (value.is_primitive())
      text[key] = value.dump();
  return true;  // not what is nested: printing it would recurse as deep as the file says
}

}  // namespace

int exif_orientation(Bytes bytes) {
  const Tiff tiff(bytes);
  const auto value = tiff.integer(tiff.find(tiff.first_directory(), kOrientation));
  return value && *value >= 1 && *value <= 8 ? int(*value) : 0;
}

int xmp_orientation(std::string_view xmp) {
  const std::string_view key = "tiff:Orientation";
  for (size_t at = xmp.find(key); at != xmp.npos; at = xmp.find(key, at + 1)) {
    std::string_view rest = xmp.substr(at + key.size());
    if (rest.starts_with("=\""))
      rest.remove_prefix(2);
    else if (rest.starts_with(">"))
      rest.remove_prefix(1);
    else
      continue;
    if (!rest.empty() && rest[0] >= '1' && rest[0] <= '8') return rest[0] - '0';
  }
  return 0;
}

PictureText read_exif_text(Bytes bytes) {
  PictureText text;
  const Tiff tiff(bytes);
  const uint32_t first = tiff.first_directory();
  if (const auto exif = tiff.integer(tiff.find(first, kExifDirectory))) {
    if (const auto comment = tiff.find(*exif, kUserComment);
        comment && comment->value.starts_with(kAsciiCode)) {
      const std::string_view value = comment->value.substr(kAsciiCode.size());
      if (read_json(value, text)) return text;
      text["UserComment"] = utf8_without_nul(std::string(value));
    }
  }
  if (const auto e = tiff.find(first, kDescription); e && e->type == kAscii)
    text["Description"] = ascii(*e);
  if (const auto e = tiff.find(first, kSoftware); e && e->type == kAscii)
    text["Software"] = ascii(*e);
  return text;
}

}  // namespace icedit
