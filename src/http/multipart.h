#pragma once
// multipart/form-data (RFC 7578), strict: browsers and HTTP clients write one form of it, and what
// is not of that form is refused with a reason.
#include <string>
#include <string_view>
#include <vector>

namespace icedit::http {

struct Part {
  std::string name;
  std::string file;          // its name, without folders; "" for a field
  std::string type;          // "" where it is not said
  std::string_view content;  // lies in the body
};

struct MultipartLimits {
  size_t parts = 64;
  size_t head = 4096;  // bytes of a part's headers
};

// Throws UsageError with what is wrong. `content_type`: the request's header.
std::vector<Part> parse_multipart(std::string_view content_type, std::string_view body,
                                  const MultipartLimits& limits = {});

}  // namespace icedit::http
