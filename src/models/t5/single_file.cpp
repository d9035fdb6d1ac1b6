#include "models/t5/single_file.h"

#include "models/component_prefix.h"

namespace icedit {
namespace {

const ComponentMarks kT5Marks = {
    "T5 encoder",
    {"", "text_encoders.t5xxl.transformer.", "t5xxl.transformer.", "text_encoders.t5xxl.",
     "text_encoder_2.", "conditioner.embedders.1.transformer.", "transformer.", "model."},
    {"encoder.block.0.layer.0.SelfAttention.q.weight"}};

bool starts_with(const std::string& name, const char* start) {
  return name.rfind(start, 0) == 0;
}

}  // namespace

Checkpoint t5_single_file(const Checkpoint& file) {
  const Checkpoint t5 = component_of(file, kT5Marks);
  const bool shared = t5.has("shared.weight");
  return t5.renamed([&](const std::string& name) -> std::string {
    if (name == "encoder.embed_tokens.weight") return shared ? "" : "shared.weight";
    const bool other = starts_with(name, "decoder.") || starts_with(name, "lm_head.") ||
                       name == "spiece_model" || name == "logit_scale";
    return other ? "" : name;
  });
}

}  // namespace icedit
