#pragma once
// A transformer with its blocks' matrices quantised, written as one file that other programs load.
#include "edit/model_files.h"
#include "nn/weights.h"

namespace icedit::cli {

// ComfyUI's layout of 8 or 4 bits (nn/int8_matrix.h, int4_matrix.h), BFL's names; embedders,
// modulations and the last layer as they are stored. Needs the memory of one matrix. Throws
// CheckpointError (a tensor that FLUX does not have, one that is not finite), IoError.
void convert_quantised(const Component& transformer, Quant quant, const Path& output);

}  // namespace icedit::cli
