#pragma once
// Matrices that are made whole numbers as they are loaded.
#include "nn/matrix.h"

namespace icedit {

// `stored` [out, in] in int8 or int4, of which no more than kMostAtOnce are in f32 at once.
// rotation_group(in) is not 0.
MatrixPtr quantised_matrix(const Matrix& stored, int64_t out, int64_t in, Quant quant);

}  // namespace icedit
