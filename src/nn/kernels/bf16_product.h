#pragma once
// Products in bf16 on AMX, summed in f32, in one order whatever the number of threads. The weight
// stays as it is: a thread packs some hundreds of its columns for all rows, so that nothing is held
// twice, and training and adapters find the matrix that they know. Half as fast again as oneDNN's.
#include "nn/kernels/kernels.h"

namespace icedit::kernels {

// Whether the functions below take this weight [out, in]: bf16, frozen, of dense rows, both sizes
// multiples of 32, on a CPU with AMX.
bool multiplies_bf16(const Tensor& weight);

// x w^T + bias [out], where there is one; out [rows, out] bf16, dense.
void product(const Bf16Rows& x, const Tensor& weight, const Tensor& bias, const Tensor& out);
// g w, the gradient to x; out [rows, in] bf16, dense.
void product_transposed(const Bf16Rows& g, const Tensor& weight, const Tensor& out);

}  // namespace icedit::kernels
