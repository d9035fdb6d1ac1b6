#include "http/form.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "http/base64.h"
#include "http/multipart.h"
#include "io/utf8.h"

namespace icedit::http {
namespace {

constexpr size_t kMostFetched = 2;  // a picture and its mask

bool is_picture_field(const std::string& name) {
  return name == "image" || name == "images" || name == "mask";
}

std::string picture_field(const std::string& name) {
  return name == "mask" ? "mask" : "image";
}

void add_field(Json& fields, const std::string& name, Json value, bool list) {
  if (!fields.contains(name)) {
    fields[name] = list ? Json::array({std::move(value)}) : std::move(value);
    return;
  }
  Json& there = fields[name];
  if (!there.is_array()) there = Json::array({std::move(there)});
  there.push_back(std::move(value));
}

Json from_multipart(const Request& request, const FormLimits& limits, std::vector<File>& files) {
  Json fields = Json::object();
  MultipartLimits parts;
  parts.parts = limits.parts;
  for (const Part& part : parse_multipart(request.header("content-type"), request.body, parts)) {
    std::string name = part.name;
    const bool list = name.ends_with("[]");
    if (list) name.resize(name.size() - 2);
    if (is_picture_field(name)) {
      // Clients send an empty one for a picture that was not chosen.
      if (!part.content.empty())
        files.push_back({picture_field(name), part.file, std::string(part.content)});
      continue;
    }
    if (part.content.size() > limits.text) {
      throw UsageError(str("the field '", name.substr(0, 100), "' has ", part.content.size(),
                           " bytes, expected at most ", limits.text));
    }
    expect_utf8(name, "a field's name");
    expect_utf8(part.content, str("the field '", name, "'"));
    add_field(fields, name, std::string(part.content), list);
  }
  return fields;
}

// Whether it begins as "https://" does.
bool is_absolute(const std::string& url) {
  const size_t colon = url.find(':');
  return colon != std::string::npos && url.compare(colon, 3, "://") == 0;
}

void take_picture(const std::string& field, const Json& value, const FormLimits& limits,
                  std::vector<File>& files) {
  if (value.is_null()) return;
  if (value.is_array()) {
    for (const Json& one : value) take_picture(field, one, limits, files);
    return;
  }
  if (value.is_object()) {
    if (value.contains("image_url")) return take_picture(field, value["image_url"], limits, files);
    throw UsageError(str("'", field, "' names no picture: expected {\"image_url\": \"data:...\"}",
                         "; files by id are not kept here"));
  }
  const std::string* url = value.get_ptr<const std::string*>();
  if (url != nullptr && limits.fetch && is_absolute(*url)) {
    if (files.size() >= kMostFetched)
      throw UsageError("more pictures are named than an edit takes");
    files.push_back({picture_field(field), "", limits.fetch(*url)});
    return;
  }
  std::optional<DataUrl> data = url == nullptr ? std::nullopt : parse_data_url(*url);
  if (!data) {
    throw UsageError(str("'", field, "' is no data URL, expected data:image/png;base64,...",
                         limits.fetch ? "" : "; pictures elsewhere are not fetched"));
  }
  files.push_back({picture_field(field), "", std::move(data->bytes)});
}

void expect_lengths(const Json& value, const std::string& name, size_t most) {
  if (value.is_structured()) {
    for (const Json& one : value) expect_lengths(one, name, most);
  }
  const std::string* text = value.get_ptr<const std::string*>();
  if (text != nullptr && text->size() > most) {
    throw UsageError(
        str("the field '", name, "' has ", text->size(), " bytes, expected at most ", most));
  }
}

Json from_json(const Request& request, const FormLimits& limits, std::vector<File>& files) {
  Json all = parse_json(request.body, limits.depth);
  if (!all.is_object()) throw UsageError("the body's JSON is no object");
  if (all.size() > limits.parts)
    throw UsageError(str("the body has more than ", limits.parts, " fields"));
  Json fields = Json::object();
  for (auto& [name, value] : all.items()) {
    if (is_picture_field(name)) {
      take_picture(name, value, limits, files);
    } else {
      expect_lengths(value, name.substr(0, 100), limits.text);
      fields[name] = std::move(value);
    }
  }
  return fields;
}

}  // namespace

Json parse_json(const std::string& body, int depth) {
  const auto check = [&](int at, Json::parse_event_t, Json&) {
    if (at > depth)
      throw UsageError(str("the body's JSON is nested more than ", depth, " levels deep"));
    return true;
  };
  try {
    return Json::parse(body, check);
  } catch (const Json::exception& error) {
    const std::string why = error.what();  // "[json.exception.parse_error.101] parse error at ..."
    throw UsageError(str("the body is no valid JSON: ", why.substr(why.find("] ") + 2, 200)));
  }
}

Json parse_form(const Request& request, const FormLimits& limits, std::vector<File>& files) {
  const std::string type = lower_case(request.header("content-type"));
  if (type.starts_with("multipart/form-data")) return from_multipart(request, limits, files);
  if (trimmed(type.substr(0, type.find(';'))) == "application/json")
    return from_json(request, limits, files);
  throw UsageError(str("the body's Content-Type is '", type.substr(0, 100),
                       "', expected multipart/form-data or application/json"));
}

}  // namespace icedit::http
