#pragma once
// The config files of black-forest-labs/FLUX.1-Fill-dev's components, for single files that come
// without.
#include "io/json_file.h"

namespace icedit {

// `component`: its folder in a diffusers model: "transformer", "text_encoder" (CLIP-L, text),
// "text_encoder_2" (T5 v1.1 XXL, encoder), "vae" or "scheduler".
JsonFile fill_config(const std::string& component);

}  // namespace icedit
