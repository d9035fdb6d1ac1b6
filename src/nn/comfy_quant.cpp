#include "nn/comfy_quant.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/json.h"
#include "nn/fp8_scales.h"
#include "nn/int4_matrix.h"

namespace icedit {
namespace {

std::string tensor_text(const Weights& w, const std::string& part) {
  return str(w.where(), ": tensor '", (w / part).path(), "'");
}

}  // namespace

void fail_at(const Weights& w, const std::string& part, const std::string& what) {
  throw CheckpointError(str(tensor_text(w, part), " ", what));
}

ComfyQuant read_comfy_quant(const Weights& w, int64_t in) {
  if (!w.has("comfy_quant")) {
    fail_at(w, "weight",
            "is I8, but no 'comfy_quant' beside it and no '_quantization_metadata' in the header "
            "say how; ComfyUI's int8 and int4 layouts have one");
  }
  const ComfyQuant quant = parse_comfy_quant(w.entry("comfy_quant", w.shape("comfy_quant")).bytes(),
                                             in, tensor_text(w, "comfy_quant"));
  if (quant.run && *quant.run != kInt4Run)
    fail_at(w, "comfy_quant", str("says group_size ", *quant.run, ", expected ", kInt4Run));
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

bool is_quant_part(const std::string& name) {
  const std::string part = name.substr(name.rfind('.') + 1);
  return is_fp8_scale(name) || is_fp8_mark(name) || part == "comfy_quant" ||
         part.starts_with("weight_s") || part == "weight_codebook";
}

bool is_in_4_bits(const Checkpoint& checkpoint, const std::string& module) {
  return checkpoint.has(module + ".weight_s_rel") || checkpoint.has(module + ".weight_s_channel");
}

int64_t matrix_inputs(const Checkpoint& checkpoint, const std::string& module) {
  const auto& shape = checkpoint.entry(module + ".weight").info.shape;
  if (shape.size() != 2) return 0;
  return is_in_4_bits(checkpoint, module) ? 2 * shape[1] : shape[1];
}

int64_t parameters_of(const Checkpoint& checkpoint, const std::string& name) {
  if (is_quant_part(name)) return 0;
  const TensorInfo& info = checkpoint.entry(name).info;
  if (!name.ends_with(".weight") || info.shape.size() != 2) return info.numel();
  return info.shape[0] * matrix_inputs(checkpoint, name.substr(0, name.rfind('.')));
}

}  // namespace icedit
