#pragma once
#include "io/checkpoint.h"

namespace icedit {

// An AutoencoderKL's checkpoint with diffusers' names, from BFL's ae.safetensors (CompVis' names:
// encoder.down.0.block.0, mid.attn_1.q as a 1x1 convolution, decoder.up counted from the outside
// in), an all-in-one file, or as it is. Throws CheckpointError: no VAE in it.
Checkpoint vae_single_file(const Checkpoint& file);

}  // namespace icedit
