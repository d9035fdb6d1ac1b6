#include "edit/recipe.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/version.h"
#include "io/hub.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kHashedWhole = uint64_t{256} << 20;
constexpr Part kParts[] = {Part::kTransformer, Part::kT5, Part::kClip, Part::kVae};

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

Json adapter_json(const AdapterRequest& request) {
  const Path file = adapter_file(request.path);
  const Fingerprint print = fingerprint({file});
  Json json;
  json["name"] = request.path;
  json["file"] = file.filename().string();
  json["scale"] = request.scale;
  json["sha256"] = print.sha256;
  json["sha256_of"] = print.of;
  return json;
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

Path adapter_file(const std::string& path_or_id) {
  return AdapterFile::open(resolve_path_or_id(path_or_id, "--lora")).path;
}

std::string describe_run(const Residency& residency) {
  const ModelFiles& files = residency.files();
  Json json;
  json["version"] = version();
  json["model"]["name"] = files.name();
  for (const Part part : kParts) json["model"][part_name(part)] = component_json(files, part);
  json["adapters"] = Json::array();
  for (const AdapterRequest& adapter : residency.adapters())
    json["adapters"].push_back(adapter_json(adapter));
  json["device"] = residency.device().str();
  json["dtype"] = dtype_text(residency.precision().compute);
  json["noise_dtype"] = dtype_text(residency.precision().noise);
  return dumped(json);
}

PictureText recipe_text(const std::string& run, const std::string& settings, const Path& source,
                        const Path& mask, int64_t picture) {
  Json json = Json::parse(run);
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
