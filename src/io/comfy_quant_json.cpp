#include "io/comfy_quant_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/str.h"
#include "io/json.h"

namespace icedit {
namespace {

constexpr size_t kMostDescription = 64 << 10;  // bytes of JSON
// Of all matrices, some hundreds with a hundred bytes each; parsed, JSON takes up to twenty times
// its bytes.
constexpr size_t kMostDescriptions = 2 << 20;
constexpr int64_t kMostGroup = 4096, kUsualGroup = 256;

// A key of the description, or of its "params", where older files have them; nullptr: not given.
const Json* found(const Json& json, const char* key) {
  if (const auto at = json.find(key); at != json.end()) return &*at;
  const auto params = json.find("params");
  if (params == json.end() || !params->is_object()) return nullptr;
  const auto at = params->find(key);
  return at == params->end() ? nullptr : &*at;
}

// As it stands there, in one line and not too long.
std::string value_text(const Json& json) {
  const std::string text = dumped(json);
  return text.size() > 100 ? text.substr(0, 100) + "..." : text;
}

int64_t rotation_of(const Json& json, bool always, const std::string& where) {
  const Json* rotated = found(json, "convrot");
  if (rotated == nullptr ? !always : *rotated == false) return 0;
  const Json* group = found(json, "convrot_groupsize");
  if (group == nullptr) return kUsualGroup;
  const int64_t size = group->is_number_integer() ? group->get<int64_t>() : 0;
  for (int64_t power = 16; power <= kMostGroup; power *= 4)
    if (size == power) return size;
  throw CheckpointError(str(where, " says convrot_groupsize ", value_text(*group),
                            ", expected a power of 4 from 16 on"));
}

std::optional<int64_t> run_of(const Json& json, const std::string& where) {
  const Json* run = found(json, "group_size");
  if (run == nullptr) return {};
  if (run->is_number_integer()) return run->get<int64_t>();
  throw CheckpointError(
      str(where, " says group_size ", value_text(*run), ", expected a whole number"));
}

// Whether a value is flat but for one level of groups, so that nobody nests the stack away.
bool is_shallow(const Json& json, int deepest = 2) {
  if (!json.is_structured()) return true;
  return deepest > 0 && std::all_of(json.begin(), json.end(), [&](const Json& inner) {
           return is_shallow(inner, deepest - 1);
         });
}

}  // namespace

ComfyQuant parse_comfy_quant(Bytes text, int64_t inputs, const std::string& where) {
  const auto fail = [&](const std::string& what) { throw CheckpointError(str(where, " ", what)); };
  if (text.size() > kMostDescription)
    fail(str("has ", text.size(), " bytes, expected at most 64 KiB of JSON"));
  const auto json = Json::parse(as_text(text), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("format") || !json["format"].is_string())
    fail("is not a JSON object with a \"format\"; the file is damaged");
  ComfyQuant quant{json["format"].get<std::string>()};
  const bool four = quant.format == kInt4Format;
  if (!four && quant.format != kInt8Format) {
    fail(str("says format ", value_text(json["format"]), ", expected '", kInt8Format, "' or '",
             kInt4Format, "'; of ComfyUI's quantised formats these and fp8 are read"));
  }
  if (four) quant.run = run_of(json, where);
  quant.group = rotation_of(json, /*always=*/four, where);
  if (quant.group != 0 && inputs % quant.group != 0) {
    fail(str("says groups of ", quant.group, " inputs, which do not divide the matrix's ", inputs));
  }
  return quant;
}

std::map<std::string, std::string> parse_quantisation(const std::string& text,
                                                      const std::string& where) {
  const auto fail = [&](const std::string& what) {
    throw CheckpointError(str(where, ": '", kQuantisationKey, "' in the header ", what));
  };
  if (text.size() > kMostDescriptions)
    fail(str("has ", text.size(), " bytes, expected at most 2 MiB of JSON; the file is damaged"));
  const auto json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("layers") || !json["layers"].is_object())
    fail("is not JSON with \"layers\"; the file is damaged, get it again");
  std::map<std::string, std::string> texts;
  for (const auto& [module, how] : json["layers"].items()) {
    if (!is_shallow(how))
      fail(str("nests ", value_text(module), " too deeply; the file is damaged, get it again"));
    texts[module] = dumped(how);
  }
  return texts;
}

}  // namespace icedit
