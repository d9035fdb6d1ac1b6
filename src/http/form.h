#pragma once
// What a request's body says, whether it is multipart/form-data or JSON: fields and pictures.
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "http/message.h"
#include "io/json.h"

namespace icedit::http {

struct FormLimits {
  size_t parts = 64;   // of multipart/form-data
  int depth = 8;       // of JSON
  size_t text = 8192;  // bytes of a field
  // Gets a picture that is given by its URL, or throws UsageError; none: such are refused.
  std::function<std::string(const std::string& url)> fetch = {};
};

struct File {
  std::string field;  // "image" or "mask"
  std::string name;   // as the client calls it; "" where it does not
  std::string bytes;
};

// Throws UsageError where a text is no JSON, or nested deeper.
Json parse_json(const std::string& text, int depth);

// The fields, as an object; a field that is there several times, or called "name[]", is a list.
// Pictures become `files`: parts with a file name, and data URLs of a JSON body under "image",
// "images" or "mask", alone, in a list, or as {"image_url": URL}; other URLs there are fetched.
// Throws UsageError with what is wrong.
Json parse_form(const Request& request, const FormLimits& limits, std::vector<File>& files);

}  // namespace icedit::http
