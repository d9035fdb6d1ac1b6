#include "http/message.h"

#include <algorithm>
#include <chrono>

#include "base/str.h"

namespace icedit::http {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
}

bool is_token_character(char c) {
  const bool letter = (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
  return letter || std::string_view("!#$%&'*+-.^_`|~/").find(c) != std::string_view::npos;
}

// Takes a quoted string or a token off the front.
std::optional<std::string> take_value(std::string_view& rest) {
  std::string value;
  if (rest.empty() || rest[0] != '"') {
    while (!rest.empty() && is_token_character(rest[0])) {
      value += rest[0];
      rest.remove_prefix(1);
    }
    return value.empty() ? std::nullopt : std::optional(value);
  }
  for (rest.remove_prefix(1); !rest.empty() && rest[0] != '"'; rest.remove_prefix(1)) {
    if (rest[0] == '\\' && rest.size() > 1) rest.remove_prefix(1);
    value += rest[0];
  }
  if (rest.empty()) return std::nullopt;
  rest.remove_prefix(1);
  return value;
}

}  // namespace

int64_t now_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), lower);
  return result;
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::string_view Request::header(std::string_view name) const {
  const auto found = std::find_if(headers.begin(), headers.end(), [&](const auto& header) {
    return same_ignoring_case(header.first, name);
  });
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

std::string_view Request::cookie(std::string_view name) const {
  for (const auto& [header, value] : headers) {
    if (!same_ignoring_case(header, "cookie")) continue;
    for (std::string_view rest = value; !rest.empty();) {
      const size_t end = std::min(rest.find(';'), rest.size());
      const std::string_view pair = trimmed(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const size_t equals = pair.find('=');
      if (equals != std::string_view::npos && pair.substr(0, equals) == name)
        return pair.substr(equals + 1);
    }
  }
  return {};
}

std::optional<std::string> Parameters::get(std::string_view name) const {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& p) { return p.first == name; });
  return found == all.end() ? std::nullopt : std::optional(found->second);
}

std::optional<Parameters> parse_parameters(std::string_view header) {
  Parameters parameters;
  std::string_view rest = trimmed(header);
  const std::optional<std::string> value = take_value(rest);
  if (!value) return std::nullopt;
  parameters.value = lower_case(*value);
  while (!(rest = trimmed(rest)).empty()) {
    if (rest[0] != ';') return std::nullopt;
    rest = trimmed(rest.substr(1));
    if (rest.empty()) break;
    const std::optional<std::string> name = take_value(rest);
    if (!name || rest.empty() || rest[0] != '=') return std::nullopt;
    rest.remove_prefix(1);
    std::optional<std::string> text = take_value(rest);
    if (!text) return std::nullopt;
    parameters.all.emplace_back(lower_case(*name), std::move(*text));
  }
  return parameters;
}

std::string event_text(std::string_view event, std::string_view data) {
  return str("event: ", event, "\ndata: ", data, "\n\n");
}

}  // namespace icedit::http
