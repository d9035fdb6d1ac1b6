#include "edit/recipe.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/version.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kHashedWhole = uint64_t{256} << 20;

std::string dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The JSON header of a safetensors file, with its length in front; the first bytes of any other
// file.
std::string header_of(const Path& file) {
  const MappedFile mapped(file);
  const Bytes bytes = mapped.bytes();
  uint64_t length = 0;
  if (bytes.size() >= sizeof length) std::memcpy(&length, bytes.data(), sizeof length);
  const uint64_t wanted = std::min<uint64_t>(length, uint64_t{64} << 20) + sizeof length;
  return {reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(wanted, bytes.size())};
}

Json file_names(const std::vector<Path>& files) {
  Json names = Json::array();
  for (const Path& file : files) names.push_back(file.filename().string());
  return names;
}

Json component_json(const ModelFiles& files, Part part) {
  const Component component = files.open(part);
  const std::vector<Path> paths = component.checkpoint.files();
  const Fingerprint print = fingerprint(paths);
  Json json;
  json["files"] = file_names(paths);
  json["bytes"] = component.checkpoint.total_bytes();
  json["sha256"] = print.sha256;
  json["sha256_of"] = print.of;
  return json;
}

Json adapter_json(const EditAdapter& adapter) {
  const Path& file = adapter.fitted.path;
  const Fingerprint print = fingerprint({file});
  Json json;
  json["name"] = adapter.name;
  json["file"] = file.filename().string();
  json["scale"] = adapter.scale;
  json["sha256"] = print.sha256;
  json["sha256_of"] = print.of;
  return json;
}

std::string at(const Json& json, const std::string& key, const std::string& inner) {
  const Json part = json.is_object() ? json.value(key, Json::object()) : Json::object();
  const Json value = part.is_object() ? part.value(inner, Json()) : Json();
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// Scale and bytes of every adapter, whatever their names.
std::string adapters_text(const Json& json) {
  const Json adapters = json.value("adapters", Json::array());
  std::string text;
  if (!adapters.is_array()) return text;
  for (const Json& adapter : adapters) {
    if (adapter.is_object())
      text += adapter.value("scale", Json()).dump() + adapter.value("sha256", Json()).dump();
  }
  return text;
}

}  // namespace

Fingerprint fingerprint(const std::vector<Path>& files) {
  std::vector<Path> sorted = files;
  std::sort(sorted.begin(), sorted.end());
  uint64_t total = 0;
  for (const Path& file : sorted) total += fs::file_size(file);
  const bool whole = total <= kHashedWhole;
  // One file of which all is hashed has the hash that sha256sum prints; others have the hash of a
  // list of such.
  if (whole && sorted.size() == 1) return {sha256_file(sorted[0]), "contents"};
  std::string list;
  for (const Path& file : sorted) {
    list += str(file.filename().string(), " ", fs::file_size(file), " ",
                whole ? sha256_file(file) : sha256(header_of(file)), "\n");
  }
  return {sha256(list), whole ? "contents" : "headers and sizes"};
}

std::string without_folders(const std::string& name) {
  std::error_code ignored;
  if (!fs::exists(name, ignored)) return name;
  const Path path = fs::path(name).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

std::string describe_run(const Residency& residency) {
  const ModelFiles& files = residency.files();
  Json json;
  json["version"] = version();
  json["model"]["name"] = files.name();
  for (const Part part : kParts) json["model"][part_name(part)] = component_json(files, part);
  json["adapters"] = Json::array();
  for (const EditAdapter& adapter : residency.adapters())
    json["adapters"].push_back(adapter_json(adapter));
  json["device"] = residency.device().str();
  json["dtype"] = dtype_text(residency.precision().compute);
  json["noise_dtype"] = dtype_text(residency.precision().noise);
  json["threads"] = at::get_num_threads();  // the last bits hang on them
  return dumped(json);
}

PictureText recipe_text(const std::string& run, const std::string& settings, const Path& source,
                        const Path& mask, int64_t picture) {
  Json json = Json::parse(run);
  json["model"]["name"] = without_folders(json["model"]["name"]);
  for (Json& adapter : json["adapters"]) adapter["name"] = without_folders(adapter["name"]);
  json["edit"] = Json::parse(settings);
  if (json["edit"].value("num_images", int64_t{1}) > 1) json["picture"] = picture;
  json["source"]["file"] = source.filename().string();
  json["source"]["sha256"] = sha256_file(source);
  if (!mask.empty()) {
    json["mask"]["file"] = mask.filename().string();
    json["mask"]["sha256"] = sha256_file(mask);
  }
  return {{kRecipeKey, dumped(json)},
          {"Description", json["edit"]["instruction"].get<std::string>()},
          {"Software", str("icedit ", version())}};
}

std::string read_recipe(const Path& picture) {
  const PictureText text = read_picture_text(picture);
  const auto found = text.find(kRecipeKey);
  return found == text.end() ? "" : found->second;
}

std::vector<std::string> differences(const std::string& recipe, const std::string& run) {
  const Json then = Json::parse(recipe, nullptr, /*allow_exceptions=*/false),
             now = Json::parse(run);
  std::vector<std::string> lines;
  if (!then.is_object()) return lines;
  const Json model_then = then.value("model", Json()), model_now = now.value("model", Json());
  for (const Part part : kParts) {
    const std::string name = part_name(part);
    if (at(model_then, name, "sha256") != at(model_now, name, "sha256"))
      lines.push_back("another " + name);
  }
  if (adapters_text(then) != adapters_text(now)) lines.push_back("other adapters or scales");
  for (const char* key : {"version", "dtype", "noise_dtype"}) {
    const Json was = then.value(key, Json()), is = now.value(key, Json());
    if (was != is) lines.push_back(str(key, " was ", was.dump(), ", is ", is.dump()));
  }
  return lines;
}

bool recipe_has_mask(const std::string& recipe) {
  const Json json = Json::parse(recipe, nullptr, /*allow_exceptions=*/false);
  return json.is_object() && json.contains("mask");
}

std::string recipe_settings(const std::string& recipe, const std::string& where) {
  const Json json = Json::parse(recipe, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("edit") || !json["edit"].is_object()) {
    throw DataError(
        str(where, ": its recipe is damaged (no object 'edit' in the text '", kRecipeKey, "')"));
  }
  return dumped(json["edit"]);
}

std::string dtype_text(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return "float32";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    default:
      return at::toString(type);
  }
}

}  // namespace icedit
