#pragma once
// The config files of black-forest-labs/FLUX.1-Fill-dev's components, for single files that come
// without.
#include "io/json_file.h"

namespace icedit {

JsonFile fill_transformer_config();
JsonFile fill_t5_config();    // T5 v1.1 XXL, encoder
JsonFile fill_clip_config();  // CLIP-L, text
JsonFile fill_vae_config();
JsonFile fill_scheduler_config();

}  // namespace icedit
