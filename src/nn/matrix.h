#pragma once
// A matrix of weights, however it is stored. Nothing about one ever changes, so that threads may
// share it.
#include <memory>

#include "base/tensor.h"
#include "nn/weights.h"

namespace icedit {

class Matrix {
 public:
  virtual ~Matrix() = default;

  // x W^T + bias. x [..., in] -> [..., out]; bias [out], or undefined.
  virtual Tensor times(const Tensor& x, const Tensor& bias) const;
  // g W, the gradient to x. g [..., out] -> [..., in].
  virtual Tensor times_transposed(const Tensor& g) const;
  // [out, in]: what is held itself where holds(dtype), else made anew.
  virtual Tensor dense(at::ScalarType dtype) const = 0;
  // Whether it is held dense and in this dtype: nothing is converted at a use.
  virtual bool holds(at::ScalarType /*dtype*/) const { return false; }
};

using MatrixPtr = std::shared_ptr<const Matrix>;

MatrixPtr dense_matrix(const Tensor& weight);  // [out, in]

// `w`'s "weight" [out, in] as it is stored, with the scales that lie beside it.
MatrixPtr load_matrix(const Weights& w, int64_t in, int64_t out);

// matrix->times(x, bias), and in a backward pass times_transposed.
Tensor matrix_product(const Tensor& x, const MatrixPtr& matrix, const Tensor& bias);

}  // namespace icedit
