#include "http/multipart.h"

#include "base/error.h"
#include "http/message.h"

namespace icedit::http {
namespace {

constexpr size_t kLongestBoundary = 70;  // RFC 2046
constexpr std::string_view kLineEnd = "\r\n";

[[noreturn]] void fail(const std::string& why) {
  throw UsageError(str("the body is no valid multipart/form-data: ", why));
}

std::string boundary_of(std::string_view content_type) {
  const std::optional<Parameters> type = parse_parameters(content_type);
  if (!type || type->value != "multipart/form-data")
    fail("the header Content-Type does not say multipart/form-data");
  const std::string boundary = type->get("boundary").value_or("");
  if (boundary.empty() || boundary.size() > kLongestBoundary)
    fail("its boundary has no characters, or more than 70");
  return boundary;
}

// Takes a line off the front, without its end.
std::string_view take_line(std::string_view& rest) {
  const size_t end = rest.find(kLineEnd);
  if (end == std::string_view::npos) fail("it ends within a part's headers");
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + kLineEnd.size());
  return line;
}

// Some browsers send a whole path, of either kind.
std::string without_folders(const std::string& name) {
  const size_t slash = name.find_last_of("/\\");
  return slash == std::string::npos ? name : name.substr(slash + 1);
}

void take_disposition(std::string_view value, Part& part) {
  const std::optional<Parameters> disposition = parse_parameters(value);
  if (!disposition || disposition->value != "form-data" || !disposition->get("name"))
    fail("a part's Content-Disposition is not form-data with a name");
  part.name = *disposition->get("name");
  part.file = without_folders(disposition->get("filename").value_or(""));
}

void take_head(std::string_view& rest, const MultipartLimits& limits, Part& part) {
  bool named = false;
  const size_t before = rest.size();
  for (std::string_view line; !(line = take_line(rest)).empty();) {
    if (before - rest.size() > limits.head) fail("a part has too many headers");
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) fail("a part's header has no colon");
    const std::string_view name = line.substr(0, colon), value = trimmed(line.substr(colon + 1));
    if (same_ignoring_case(name, "content-disposition")) {
      if (named) fail("a part has two Content-Dispositions");
      take_disposition(value, part);
      named = true;
    } else if (same_ignoring_case(name, "content-type")) {
      part.type = lower_case(value.substr(0, value.find(';')));
    } else if (same_ignoring_case(name, "content-transfer-encoding") &&
               !same_ignoring_case(value, "binary") && !same_ignoring_case(value, "8bit") &&
               !same_ignoring_case(value, "7bit")) {
      fail(str("a part's Content-Transfer-Encoding is '", value, "', expected binary"));
    }
  }
  if (!named) fail("a part has no Content-Disposition");
}

}  // namespace

std::vector<Part> parse_multipart(std::string_view content_type, std::string_view body,
                                  const MultipartLimits& limits) {
  const std::string dashes = "--" + boundary_of(content_type);
  const std::string between = str(kLineEnd, dashes);
  if (!body.starts_with(dashes)) fail("it does not begin with its boundary");
  std::string_view rest = body.substr(dashes.size());
  std::vector<Part> parts;
  while (!rest.starts_with("--")) {
    if (!rest.starts_with(kLineEnd)) fail("its boundary is followed by other characters");
    rest.remove_prefix(kLineEnd.size());
    if (parts.size() == limits.parts) fail(str("it has more than ", limits.parts, " parts"));
    Part& part = parts.emplace_back();
    take_head(rest, limits, part);
    // An empty part ends right where it begins: the line end is that of its headers.
    const size_t end = rest.find(between);
    if (end == std::string_view::npos) fail("its last part has no end");
    part.content = rest.substr(0, end);
    rest.remove_prefix(end + between.size());
  }
  rest.remove_prefix(2);
  if (!rest.empty() && rest != kLineEnd) fail("something follows its end");
  return parts;
}

}  // namespace icedit::http
