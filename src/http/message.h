#pragma once
// An HTTP request and its answer, as the rest of the program sees them.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace icedit::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;
  std::string path;   // as it was sent, up to a "?"; nothing is decoded: no route needs it
  std::string query;  // behind the "?"
  Headers headers;
  std::string body;
  std::string address;     // of the other end of the connection
  bool encrypted = false;  // the connection is

  // The first header of this name (upper and lower case alike); "" where there is none.
  std::string_view header(std::string_view name) const;
  std::string_view cookie(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string type = "application/json";  // "" sends none
  std::string body = {};
  Headers headers = {};
};

int64_t now_seconds();  // since 1970

bool same_ignoring_case(std::string_view a, std::string_view b);
std::string lower_case(std::string_view text);
std::string_view trimmed(std::string_view text);  // without blanks and tabs at its ends

// "form-data; name=\"image\"": the value, and its parameters by name. Quoted values may hold
// backslash escapes. Nothing where the text is not of that form.
struct Parameters {
  std::string value;  // in lower case
  std::vector<std::pair<std::string, std::string>> all;
  std::optional<std::string> get(std::string_view name) const;
};
std::optional<Parameters> parse_parameters(std::string_view header);

// One event of a text/event-stream; `data` is a single line.
std::string event_text(std::string_view event, std::string_view data);

}  // namespace icedit::http
