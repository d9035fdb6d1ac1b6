// Whatever the JSON of a request is, it ends in an object and pictures, or in a UsageError; and a
// data URL is read only where it is the text of its bytes.
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "http/base64.h"
#include "http/form.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  icedit::http::Request request;
  request.headers = {{"Content-Type", "application/json"}};
  request.body = text;
  try {
    std::vector<icedit::http::File> files;
    if (!icedit::http::parse_form(request, {}, files).is_object()) std::abort();
  } catch (const icedit::UsageError&) {
  }
  if (const auto url = icedit::http::parse_data_url(text)) {
    std::string padded = icedit::http::to_base64(url->bytes);
    while (padded.ends_with('=')) padded.pop_back();
    if (text.substr(text.find(',') + 1).substr(0, padded.size()) != padded) std::abort();
  }
  return 0;
}
