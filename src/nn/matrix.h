#pragma once
// A matrix of weights, however it is stored. Nothing about one ever changes, so that threads may
// share it.
#include <functional>
#include <memory>

#include "base/tensor.h"
#include "nn/low_rank.h"
#include "nn/operand.h"
#include "nn/weights.h"

namespace icedit {

constexpr int64_t kMostAtOnce = int64_t{4} << 20;  // values of the rows of Matrix::each_tile

class Matrix {
 public:
  virtual ~Matrix() = default;

  // x W^T + bias. x [..., in] -> [..., out]; bias [out], or undefined.
  virtual Tensor times(const Operand& x, const Tensor& bias) const;
  // The same for a backward pass through times_transposed: x is not rounded.
  virtual Tensor times_with_gradient(const Tensor& x, const Tensor& bias) const {
    return times(x, bias);
  }
  // Whether it has a product by x, without a gradient, that adds changes of low rank in its own
  // pass; and that product.
  virtual bool adds_changes(const Operand& x) const;
  virtual Tensor times_and_changes(const Operand& x, const Tensor& bias,
                                   const LowRankChanges& changes) const;
  // g W, the gradient to x. g [..., out] -> [..., in].
  virtual Tensor times_transposed(const Tensor& g) const;
  // [out, in]: what is held itself where holds(dtype), else made anew.
  virtual Tensor dense(at::ScalarType dtype) const = 0;
  // Calls with the number of a first row and some rows of `dtype`, [n, in], until it had all.
  virtual void each_tile(
      at::ScalarType dtype,
      const std::function<void(int64_t first, const Tensor& rows)>& use) const = 0;
  // Whether it is held dense and in this dtype: nothing is converted at a use.
  virtual bool holds(at::ScalarType /*dtype*/) const { return false; }
  // Whether it has products of its own, which a dense copy would lose.
  virtual bool multiplies_as_stored() const { return false; }
};

// One that makes some of its rows at a time for a product, so that it is never dense as a whole.
class RowMatrix : public Matrix {
 public:
  RowMatrix(int64_t out, int64_t in) : out_(out), in_(in) {}

  Tensor times(const Operand& x, const Tensor& bias) const override;
  bool adds_changes(const Operand& /*x*/) const override { return false; }
  Tensor times_transposed(const Tensor& g) const override;
  Tensor dense(at::ScalarType dtype) const override;
  void each_tile(at::ScalarType dtype,
                 const std::function<void(int64_t first, const Tensor& rows)>& use) const override;

 protected:
  int64_t outputs() const { return out_; }
  int64_t inputs() const { return in_; }
  // [count, in], from row `first` on.
  virtual Tensor rows(int64_t first, int64_t count, at::ScalarType dtype) const = 0;

 private:
  int64_t out_, in_;
};

using MatrixPtr = std::shared_ptr<const Matrix>;

MatrixPtr dense_matrix(const Tensor& weight);  // [out, in]

// `w`'s "weight" [out, in] as it is stored, with the scales that lie beside it; or quantised, where
// its options say so.
MatrixPtr load_matrix(const Weights& w, int64_t in, int64_t out);
// Throws what load_matrix would, and takes the same tensors of the file; copies nothing.
void expect_matrix(const Weights& w, int64_t in, int64_t out);

// matrix->times(x, bias), and in a backward pass times_transposed. `once`: of a frozen f32 matrix
// only one pass of a recomputed block multiplies (computed_once of nn/recompute.h).
Tensor matrix_product(const Operand& x, const MatrixPtr& matrix, const Tensor& bias,
                      bool once = false);

}  // namespace icedit
