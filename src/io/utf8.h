#pragma once
// Texts from anywhere, as UTF-8.
#include <string>
#include <string_view>

namespace icedit {

// Malformed bytes become U+FFFD, one for each longest prefix of a valid sequence (as in WHATWG's
// decoder).
std::string valid_utf8(std::string_view text);
std::string utf8_without_nul(std::string text);

// Throws UsageError for malformed bytes; `where` names the text.
void expect_utf8(std::string_view text, const std::string& where);

}  // namespace icedit
