#pragma once
// Unicode as the tokenizers library under transformers 5 sees it. Its parts are of different
// Unicode versions, and a token id depends on them: NFC is of version 9, letters and numbers are of
// 16, lower case is of 17. ICU gives the rest.
#include <string>
#include <string_view>
#include <vector>

namespace icedit {

// Malformed bytes become U+FFFD, one for each longest prefix of a valid sequence (as in WHATWG's
// decoder).
std::u32string from_utf8(std::string_view utf8);
void append_utf8(char32_t c, std::string& out);

// Canonical composition; characters that came after Unicode 9 stay as and where they are.
std::u32string nfc(const std::u32string& text);

// Without regard to neighbours: a final sigma is a plain one. One character can become two
// (U+0130).
void append_lower(char32_t c, std::u32string& out);

bool is_letter(char32_t c);       // \p{L}
bool is_number(char32_t c);       // \p{N}
bool is_white_space(char32_t c);  // \s

// The user-perceived characters of valid UTF-8, as views into it.
std::vector<std::string_view> graphemes(std::string_view utf8);

// `text` without the white space at its end, at its start, and only up to the first one; all expect
// valid UTF-8.
std::string_view without_trailing_space(std::string_view text);
std::string_view without_leading_space(std::string_view text);
std::string_view up_to_space(std::string_view text);

std::string replaced(std::string_view text, std::string_view from, std::string_view to);

}  // namespace icedit
