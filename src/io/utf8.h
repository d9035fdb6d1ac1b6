#pragma once
// Texts from anywhere, as UTF-8.
#include <string>
#include <string_view>

namespace icedit {

// Malformed bytes become U+FFFD, one for each longest prefix of a valid sequence (as in WHATWG's
// decoder).
std::string valid_utf8(std::string_view text);
std::string utf8_without_nul(std::string text);

// "" for UTF-8 without NUL; else what the bytes are, to go on after the text's name: " is UTF-16
// text; save it as UTF-8".
std::string not_utf8(std::string_view text);
// Throws UsageError: `where`, which names the text, and what not_utf8 says.
void expect_utf8(std::string_view text, const std::string& where);
// A file's text without its byte order mark. Throws DataError as expect_utf8 does UsageError.
std::string utf8_text(std::string_view text, const std::string& where);

// For a cell of a table: line breaks, tabs and other control characters become spaces.
std::string one_line(std::string text);

}  // namespace icedit
