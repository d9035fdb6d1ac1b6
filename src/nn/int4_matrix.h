#pragma once
// Matrices of 16 levels: 4 bits a value, a factor for each run of 16 inputs and one for each row.
// A level times its run's factor is rounded to a whole number of 8 bits, so products are those of
// int8 (nn/int8_matrix.h), made of some rows at a time; inputs are rotated and quantised as there.
// Files: ComfyUI's "asym_w4a8_int8"; M.weight I8 [out, in / 2], the even input of two in the low
// bits; M.weight_s_rel F8_E4M3 [out, in / 16]; M.weight_s_channel F32 [out]; M.weight_codebook F32
// [16], without which a code means code - 8; M.comfy_quant U8, JSON. Source: Comfy-Org's
// comfy-kitchen (the layout, and how a value is rounded).
#include "nn/matrix.h"

namespace icedit {

constexpr int64_t kInt4Run = 16;

struct Int4Values {
  Tensor codes;       // uint8 [out, in / 2]
  Tensor run_scales;  // f8e4m3 [out, in / 16]
  Tensor scales;      // f32 [out]
  Tensor levels;      // f32 [16], rising
  int64_t group = 0;  // of the rotation; 0: none

  // With the levels that a Gaussian is best told by.
  static Int4Values empty(int64_t out, int64_t in, int64_t group);
  Int4Values rows(int64_t first, int64_t count) const;  // in the same memory
};

// rows [out, in]; group divides in. `to`: with the levels of Int4Values::empty.
Int4Values quantised_rows_in_4_bits(const Tensor& rows, int64_t group);
void quantise_rows(const Tensor& rows, const Int4Values& to);

// int8 [256, 16]: what a code means in a run whose factor has these 8 bits. levels: f32 [16].
Tensor int4_value_tables(const Tensor& levels);

MatrixPtr int4_matrix(const Int4Values& values);

// `w`'s matrix in this layout; its bytes stay mapped. Throws CheckpointError: a part is missing,
// has another shape or says what we do not know. What is not finite throws at the first product.
MatrixPtr load_int4_matrix(const Weights& w, int64_t in, int64_t out);

}  // namespace icedit
