#pragma once
// A component as a GGUF file that stable-diffusion.cpp and ComfyUI-GGUF load: the transformer in
// BFL's names, the T5 encoder in llama.cpp's. Source: ComfyUI-GGUF's tools/convert.py (metadata,
// and what stays as it is).
#include "edit/model_files.h"

namespace icedit::cli {

// Matrices in blocks of `type`, one of Q8_0, Q4_0 and Q4_K; embedders, the last layer, norms and
// biases as f32. Needs the memory of one matrix. Throws CheckpointError (a tensor that the
// component does not have, one that is not finite), IoError.
void convert_gguf(const Component& component, Part part, Dtype type, const Path& output);

}  // namespace icedit::cli
