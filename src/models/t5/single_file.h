#pragma once
#include "io/checkpoint.h"

namespace icedit {

// A T5 encoder's checkpoint with transformers' names, from a file of ComfyUI's
// (t5xxl_fp16.safetensors, fp8 with or without scales), from an all-in-one file, or as it is. The
// table of embeddings is `shared.weight` afterwards, whichever of its two names the file has; a
// decoder's tensors are left out. Throws CheckpointError: no T5 encoder in it.
Checkpoint t5_single_file(const Checkpoint& file);

}  // namespace icedit
