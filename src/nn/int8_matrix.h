#pragma once
// Matrices of whole numbers of 8 bits with a factor for each row (W8A8): inputs are quantised too,
// with a factor for each token. Both are rotated first, each run of `group` inputs by the regular
// Hadamard matrix (ConvRot), which spreads outliers. Where a gradient is wanted only the weights
// are quantised. Files: ComfyUI's "int8_tensorwise"; M.weight I8 [out, in], M.weight_scale F32
// [out] or [out, 1], M.comfy_quant U8, JSON {"format", "convrot", "convrot_groupsize"}. Source:
// Comfy-Org's comfy-kitchen (the layout and the rotation).
#include <string>

#include "nn/matrix.h"

namespace icedit {

struct Int8Values {
  Tensor values;      // int8 [out, in], rotated
  Tensor scales;      // f32 [out]
  int64_t group = 0;  // of the rotation; 0: none
};

// The largest group that divides `in`, of 256, 64 and 16; 0 where none does: not to be quantised.
int64_t rotation_group(int64_t in);

// rows [out, in]; group divides in.
Int8Values quantised_rows(const Tensor& rows, int64_t group);
// What comfy_quant holds of such a matrix.
std::string int8_description(int64_t group);

MatrixPtr int8_matrix(const Int8Values& values);

// Whether `w` holds a matrix in this layout; and that matrix, packed for products at its first use,
// when the file's pages are given back. Throws CheckpointError: a part is missing, has another
// shape or says what we do not know.
bool has_int8_matrix(const Weights& w);
MatrixPtr load_int8_matrix(const Weights& w, int64_t in, int64_t out);

}  // namespace icedit
