#include "http/base64.h"

#include <array>
#include <cstdint>

#include "http/message.h"

namespace icedit::http {
namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr size_t kLongestHead = 256;  // of a data URL, before its comma

constexpr std::array<int8_t, 256> make_values() {
  std::array<int8_t, 256> values{};
  for (int8_t& value : values) value = -1;
  for (size_t i = 0; i < kDigits.size(); ++i) values[uint8_t(kDigits[i])] = int8_t(i);
  return values;
}
constexpr std::array<int8_t, 256> kValues = make_values();

}  // namespace

std::string to_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = std::min<size_t>(3, bytes.size() - i);
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) bits = bits << 8 | (k < left ? uint8_t(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) text += k <= left ? kDigits[bits >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 == 0) {
    for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  }
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int8_t value = kValues[uint8_t(c)];
    if (value < 0) return std::nullopt;
    bits = bits << 6 | uint32_t(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += char(bits >> count & 255);
  }
  if ((bits & ((1U << count) - 1)) != 0) return std::nullopt;  // another text for the same bytes
  return bytes;
}

std::optional<DataUrl> parse_data_url(std::string_view url) {
  const size_t comma = url.substr(0, kLongestHead).find(',');
  if (comma == std::string_view::npos || !same_ignoring_case(url.substr(0, 5), "data:"))
    return std::nullopt;
  std::string_view head = url.substr(5, comma - 5);
  constexpr std::string_view kBase64 = ";base64";
  if (head.size() < kBase64.size() ||
      !same_ignoring_case(head.substr(head.size() - kBase64.size()), kBase64))
    return std::nullopt;
  head.remove_suffix(kBase64.size());
  std::optional<std::string> bytes = from_base64(url.substr(comma + 1));
  if (!bytes) return std::nullopt;
  return DataUrl{lower_case(head.substr(0, head.find(';'))), std::move(*bytes)};
}

}  // namespace icedit::http
