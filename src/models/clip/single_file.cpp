#include "models/clip/single_file.h"

#include "models/component_prefix.h"

namespace icedit {
namespace {

const ComponentMarks kClipMarks = {
    "CLIP text encoder",
    {"", "text_encoders.clip_l.transformer.", "clip_l.transformer.", "text_encoders.clip_l.",
     "text_encoder.", "cond_stage_model.transformer.", "conditioner.embedders.0.transformer.",
     "transformer."},
    // transformers 5 saves CLIPTextModel without "text_model.".
    {"text_model.embeddings.token_embedding.weight", "embeddings.token_embedding.weight"}};

}  // namespace

Checkpoint clip_single_file(const Checkpoint& file) {
  return component_of(file, kClipMarks).renamed([](const std::string& name) -> std::string {
    const bool taken =
        name.rfind("text_model.", 0) == 0 && !name.ends_with("embeddings.position_ids");
    // Anything that is no known part of a CLIP stays, for the model to name as left over.
    const bool known = name.rfind("vision_model.", 0) == 0 || name.rfind("text_model.", 0) == 0 ||
                       name == "embeddings.position_ids" || name.rfind("text_projection", 0) == 0 ||
                       name.rfind("visual_projection", 0) == 0 || name == "logit_scale";
    return taken || !known ? name : "";
  });
}

}  // namespace icedit
