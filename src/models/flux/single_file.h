#pragma once
#include "io/checkpoint.h"

namespace icedit {

// A FLUX transformer's checkpoint with diffusers' names: BFL's names (flux1-fill-dev.safetensors,
// ComfyUI's fp8 files, the transformer of an all-in-one file) are translated, diffusers' pass.
// Nothing is copied: a part of a stacked matrix is a range of its rows, and fp8 scales travel with
// every part. Throws CheckpointError: no FLUX transformer; FLUX.1-dev or a control model in place
// of Fill; rows that do not split.
Checkpoint flux_single_file(const Checkpoint& file);

}  // namespace icedit
