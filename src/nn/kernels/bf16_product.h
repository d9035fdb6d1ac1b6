#pragma once
// Products in bf16 on AMX, summed in f32, in one order whatever the number of threads. The weight
// stays as it is: a thread packs some hundreds of its columns for all rows, so that nothing is held
// twice, and training and adapters find the matrix that they know. Half as fast again as oneDNN's.
#include "nn/kernels/kernels.h"
#include "nn/kernels/low_rank_term.h"

namespace icedit::kernels {

// Whether the functions below take this weight [out, in]: bf16, frozen, of dense rows, both sizes
// multiples of 32, on a CPU with AMX.
bool multiplies_bf16(const Tensor& weight);

// x w^T + bias [out], where there is one, + terms; out [rows, out] bf16, dense.
void product(const Bf16Rows& x, const Tensor& weight, const Tensor& bias, const Tensor& out,
             const LowRankTerms& terms = {});
// g w, the gradient to x; out [rows, in] bf16, dense.
void product_transposed(const Bf16Rows& g, const Tensor& weight, const Tensor& out);

// A small weight [out, in] as it is multiplied with, for one that is kept: bf16 tiles of 16 outputs
// x 32 inputs, those of 16 outputs in order, padded with zeros to 32 outputs. `in`: a multiple of
// 32. On CPUs with AVX-512 BF16.
Tensor right_tiles(const Tensor& weight);
// x w^T of such a one: f32 [rows, out padded].
Tensor product_by_rows(const Bf16Rows& x, const Tensor& right_tiles);

}  // namespace icedit::kernels
