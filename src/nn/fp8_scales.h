#pragma once
// What lies beside fp8 weights, by every name in use: ComfyUI's "scaled fp8" files have
// M.scale_weight and M.scale_input, others M.weight_scale and M.input_scale.
#include <string_view>

#include "nn/weights.h"

namespace icedit {

bool is_fp8_scale(std::string_view tensor);
// A tensor that only says that a file or a module is quantised.
bool is_fp8_mark(std::string_view tensor);

// The scale of `w`'s "weight" of `rows` rows, in the compute dtype: a scalar, or [rows, 1];
// undefined where there is none. Input scales are for fp8 products, which we do not do. Throws
// CheckpointError: another shape.
Tensor load_fp8_scale(const Weights& w, int64_t rows);

}  // namespace icedit
