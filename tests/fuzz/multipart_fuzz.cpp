// Whatever a multipart body is, it ends in parts that lie within it, or in a UsageError. The first
// line is the request's Content-Type.
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "http/form.h"
#include "http/multipart.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string all(reinterpret_cast<const char*>(data), size);
  const size_t line = std::min(all.find('\n'), all.size());
  icedit::http::Request request;
  request.headers = {{"Content-Type", all.substr(0, line)}};
  request.body = all.substr(std::min(line + 1, all.size()));
  try {
    const std::string_view body = request.body;
    for (const auto& part : icedit::http::parse_multipart(all.substr(0, line), body)) {
      if (part.content.data() < body.data() ||
          part.content.data() + part.content.size() > body.data() + body.size())
        std::abort();
    }
  } catch (const icedit::UsageError&) {
  }
  try {
    std::vector<icedit::http::File> files;
    if (!icedit::http::parse_form(request, {}, files).is_object()) std::abort();
  } catch (const icedit::UsageError&) {
  }
  return 0;
}
