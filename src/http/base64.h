#pragma once
// Base64 (RFC 4648, section 4) and data URLs (RFC 2397), strict: what is not exactly so is refused.
#include <optional>
#include <string>
#include <string_view>

namespace icedit::http {

std::string to_base64(std::string_view bytes);
// Padding may be left out; nothing else may differ.
std::optional<std::string> from_base64(std::string_view text);

struct DataUrl {
  std::string type;  // "image/png"; "" where the URL says none
  std::string bytes;
};
// "data:image/png;base64,...": only base64, as pictures come. Nothing for any other text.
std::optional<DataUrl> parse_data_url(std::string_view url);

}  // namespace icedit::http
