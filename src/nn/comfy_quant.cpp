#include "nn/comfy_quant.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/json.h"
#include "nn/fp8_scales.h"
#include "nn/int4_matrix.h"

namespace icedit {
namespace {

constexpr size_t kMostDescription = 64 << 10;  // bytes of JSON
constexpr int64_t kMostGroup = 4096, kUsualGroup = 256;

// A key of the description, or of its "params", where older files have them; nullptr: not given.
const Json* found(const Json& json, const char* key) {
  if (const auto at = json.find(key); at != json.end()) return &*at;
  const auto params = json.find("params");
  if (params == json.end() || !params->is_object()) return nullptr;
  const auto at = params->find(key);
  return at == params->end() ? nullptr : &*at;
}

int64_t rotation_of(const Weights& w, const Json& json, bool always) {
  const Json* rotated = found(json, "convrot");
  if (rotated == nullptr ? !always : *rotated == false) return 0;
  const Json* group = found(json, "convrot_groupsize");
  if (group == nullptr) return kUsualGroup;
  const int64_t size = group->is_number_integer() ? group->get<int64_t>() : 0;
  for (int64_t power = 16; power <= kMostGroup; power *= 4)
    if (size == power) return size;
  fail_at(w, "comfy_quant",
          str("says convrot_groupsize ", dumped(*group), ", expected a power of 4 from 16 on"));
}

}  // namespace

void fail_at(const Weights& w, const std::string& part, const std::string& what) {
  throw CheckpointError(str(w.where(), ": tensor '", (w / part).path(), "' ", what));
}

ComfyQuant read_comfy_quant(const Weights& w, int64_t in) {
  if (!w.has("comfy_quant")) {
    fail_at(w, "weight",
            "is I8, but no 'comfy_quant' beside it and no '_quantization_metadata' in the header "
            "say how; ComfyUI's int8 and int4 layouts have one");
  }
  const Bytes bytes = w.entry("comfy_quant", w.shape("comfy_quant")).bytes();
  if (bytes.size() > kMostDescription)
    fail_at(w, "comfy_quant", str("has ", bytes.size(), " bytes, expected at most 64 KiB of JSON"));
  const auto json = Json::parse(as_text(bytes), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("format") || !json["format"].is_string())
    fail_at(w, "comfy_quant", "is not a JSON object with a \"format\"; the file is damaged");
  ComfyQuant quant{json["format"].get<std::string>()};
  const bool four = quant.format == kInt4Format;
  if (!four && quant.format != kInt8Format) {
    fail_at(w, "comfy_quant",
            str("says format '", quant.format, "', expected '", kInt8Format, "' or '", kInt4Format,
                "'; of ComfyUI's quantised formats these and fp8 are read"));
  }
  if (const Json* run = found(json, "group_size"); four && run != nullptr && *run != kInt4Run)
    fail_at(w, "comfy_quant", str("says group_size ", dumped(*run), ", expected ", kInt4Run));
  quant.group = rotation_of(w, json, /*always=*/four);
  if (quant.group != 0 && in % quant.group != 0) {
    fail_at(w, "comfy_quant",
            str("says groups of ", quant.group, " inputs, which do not divide the matrix's ", in));
  }
  if (in % 16 != 0) fail_at(w, "weight", str("has ", in, " inputs, expected a multiple of 16"));
  return quant;
}

std::string comfy_quant_text(const ComfyQuant& quant) {
  Json json = {{"format", quant.format}};
  if (quant.format == kInt4Format) json["group_size"] = kInt4Run;
  if (quant.group != 0) {
    json["convrot"] = true;
    json["convrot_groupsize"] = quant.group;
  }
  return dumped(json);
}

int64_t matrix_inputs(const Checkpoint& checkpoint, const std::string& module) {
  const std::string scales = module + ".weight_s_rel";
  const auto& shape =
      checkpoint.entry(checkpoint.has(scales) ? scales : module + ".weight").info.shape;
  if (shape.size() != 2) return 0;
  return checkpoint.has(scales) ? shape[1] * kInt4Run : shape[1];
}

int64_t parameters_of(const Checkpoint& checkpoint, const std::string& name) {
  const size_t dot = name.rfind('.');  // none: both are all of it
  const std::string module = name.substr(0, dot), part = name.substr(dot + 1);
  if (is_fp8_scale(name) || is_fp8_mark(name) || part == "comfy_quant" ||
      part.starts_with("weight_s") || part == "weight_codebook")
    return 0;
  const TensorInfo& info = checkpoint.entry(name).info;
  if (part == "weight" && info.shape.size() == 2 && checkpoint.has(module + ".weight_s_rel"))
    return info.shape[0] * matrix_inputs(checkpoint, module);
  return info.numel();
}

}  // namespace icedit
