#include "io/utf8.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace icedit {

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
  if (valid_utf8(text) == text) return;
  throw UsageError(str(where, " is no valid UTF-8; is it in another encoding, such as Latin-1?"));
}

}  // namespace icedit
