#include "io/utf8.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace icedit {
namespace {

using std::literals::operator""sv;

// Of Latin letters every other byte is 0 in UTF-16, three of four in UTF-32. Empty for neither.
std::string_view wide_encoding(std::string_view text) {
  if (text.starts_with("\xff\xfe\0\0"sv) || text.starts_with("\0\0\xfe\xff"sv)) return "UTF-32";
  if (text.starts_with("\xff\xfe"sv) || text.starts_with("\xfe\xff"sv)) return "UTF-16";
  const auto zeros = size_t(std::count(text.begin(), text.end(), '\0'));
  if (zeros < 2 || 3 * zeros < text.size()) return "";
  return 3 * zeros < 2 * text.size() ? "UTF-16" : "UTF-32";
}

}  // namespace

std::string not_utf8(std::string_view text) {
  const std::string_view wide = wide_encoding(text);
  if (!wide.empty()) return str(" is ", wide, " text; save it as UTF-8");
  if (text.find('\0') != text.npos)
    return " holds a NUL byte, which no text has; is it the right file, and whole?";
  if (valid_utf8(text) == text) return "";
  return " is no valid UTF-8; is it in another encoding, such as Windows-1252 or Latin-1? Save it "
         "as UTF-8";
}

std::string utf8_text(std::string_view text, const std::string& where) {
  const std::string problem = not_utf8(text);
  if (!problem.empty()) throw DataError(where + problem);
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return std::string(text);
}

std::string valid_utf8(std::string_view text) {
  using Json = nlohmann::json;
  const std::string quoted = Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
  return Json::parse(quoted).get<std::string>();
}

std::string utf8_without_nul(std::string text) {
  std::erase(text, '\0');
  return valid_utf8(text);
}

void expect_utf8(std::string_view text, const std::string& where) {
  const std::string problem = not_utf8(text);
  if (!problem.empty()) throw UsageError(where + problem);
}

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return uint8_t(c) < ' ' || c == '\x7f'; }, ' ');
  return text;
}

}  // namespace icedit
