#pragma once
#include "io/checkpoint.h"

namespace icedit {

// A CLIP text encoder's checkpoint with transformers' names, from a file of ComfyUI's
// (clip_l.safetensors), a whole CLIP (its vision half is left out), an all-in-one file, or as it
// is. FLUX takes the pooled state before the projection, so text_projection goes too. Throws
// CheckpointError: no CLIP text encoder in it.
Checkpoint clip_single_file(const Checkpoint& file);

}  // namespace icedit
