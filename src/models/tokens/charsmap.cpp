#include "models/tokens/charsmap.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "io/utf8.h"
#include "models/tokens/unicode.h"

namespace icedit {
namespace {

// A unit of the double array. A node's children stand at its own index ^ offset ^ label.
struct Unit {
  uint32_t bits;
  bool has_value() const { return ((bits >> 8) & 1) != 0; }
  uint32_t value() const { return bits & 0x7fffffff; }
  uint32_t label() const { return bits & 0x800000ff; }
  uint32_t offset() const { return (bits >> 10) << ((bits & 0x200) >> 6); }
};

// A longer grapheme is replaced character by character.
constexpr size_t kMaxGraphemeBytes = 5;

}  // namespace

Charsmap::Charsmap(std::string_view bytes, const std::string& where) {
  if (bytes.empty()) return;
  uint32_t trie_bytes = 0;
  if (bytes.size() >= 4) std::memcpy(&trie_bytes, bytes.data(), 4);
  if (trie_bytes < 4 || trie_bytes % 4 != 0 ||
      trie_bytes > bytes.size() - std::min<size_t>(bytes.size(), 4))
    throw CheckpointError(str(where, ": the normalisation table states a trie of ", trie_bytes,
                              " bytes and has ", bytes.size(),
                              " in all. Download the file again."));
  units_.resize(trie_bytes / 4);
  std::memcpy(units_.data(), bytes.data() + 4, trie_bytes);
  replacements_ = bytes.substr(4 + trie_bytes);
  if (replacements_ != valid_utf8(replacements_))
    throw CheckpointError(
        str(where, ": the normalisation table is not UTF-8. Download the file again."));
}

// The replacement of the shortest prefix that the table has; the rest of the chunk is dropped with
// it.
std::optional<std::string_view> Charsmap::replacement(std::string_view chunk) const {
  size_t node = units_.empty() ? 0 : Unit{units_[0]}.offset();
  for (const char c : chunk) {
    const auto label = static_cast<uint8_t>(c);
    node ^= label;
    if (label == 0 || node >= units_.size()) return {};
    const Unit unit{units_[node]};
    if (unit.label() != label) return {};
    node ^= unit.offset();
    if (!unit.has_value()) continue;
    const size_t begin = node < units_.size() ? Unit{units_[node]}.value() : SIZE_MAX;
    if (begin >= replacements_.size() || U8_IS_TRAIL(replacements_[begin])) return {};
    const size_t end = std::min(replacements_.find('\0', begin), replacements_.size());
    return std::string_view(replacements_).substr(begin, end - begin);
  }
  return {};
}

std::string Charsmap::normalise(std::string_view utf8) const {
  if (units_.empty()) return std::string(utf8);
  std::string out;
  out.reserve(utf8.size());
  for (const std::string_view grapheme : graphemes(utf8)) {
    const auto whole = grapheme.size() <= kMaxGraphemeBytes ? replacement(grapheme) : std::nullopt;
    if (whole) {
      out += *whole;
      continue;
    }
    const auto size = static_cast<int64_t>(grapheme.size());
    for (int64_t i = 0, begin = 0; i < size; begin = i) {
      U8_FWD_1(grapheme.data(), i, size);
      const std::string_view c =
          grapheme.substr(static_cast<size_t>(begin), static_cast<size_t>(i - begin));
      out += replacement(c).value_or(c);
    }
  }
  return out;
}

std::string Charsmap::decode_base64(std::string_view text, const std::string& where) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<int8_t, 256> value;
  value.fill(-1);
  for (size_t i = 0; i < kDigits.size(); ++i)
    value[static_cast<uint8_t>(kDigits[i])] = static_cast<int8_t>(i);
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int8_t digit = value[static_cast<uint8_t>(c)];
    if (digit < 0)
      throw CheckpointError(
          str(where, ": the normalisation table is not base64. Download it again."));
    bits = (bits << 6 | static_cast<uint32_t>(digit)) & 0xffffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<char>(bits >> count & 0xff));
    }
  }
  return out;
}

}  // namespace icedit
