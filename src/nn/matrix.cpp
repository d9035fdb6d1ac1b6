#include "nn/matrix.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <utility>

#include "nn/fp8_scales.h"
#include "nn/ggml.h"

namespace icedit {
namespace {

class DenseMatrix : public Matrix {
 public:
  explicit DenseMatrix(Tensor weight) : weight_(std::move(weight)) {}

  Tensor dense(at::ScalarType dtype) const override { return weight_.to(dtype); }
  bool holds(at::ScalarType dtype) const override { return weight_.scalar_type() == dtype; }

 private:
  Tensor weight_;
};

class Fp8Matrix : public Matrix {
 public:
  Fp8Matrix(Tensor weight, Tensor scale) : weight_(std::move(weight)), scale_(std::move(scale)) {}

  Tensor dense(at::ScalarType dtype) const override {
    return weight_.to(dtype, /*non_blocking=*/false, /*copy=*/true).mul_(scale_.to(dtype));
  }

 private:
  Tensor weight_;
  Tensor scale_;  // a scalar or [out, 1]
};

struct HeldMatrix : torch::CustomClassHolder {
  explicit HeldMatrix(MatrixPtr m) : matrix(std::move(m)) {}
  MatrixPtr matrix;
};

// What is converted for a product is not kept until the backward pass, but converted again.
class MatrixProduct : public torch::autograd::Function<MatrixProduct> {
 public:
  using Context = torch::autograd::AutogradContext;

  static Tensor forward(Context* context, const Tensor& x,
                        const c10::intrusive_ptr<HeldMatrix>& held, const Tensor& bias) {
    context->saved_data["matrix"] = c10::IValue::make_capsule(held);
    return held->matrix->times(x, bias);
  }

  static torch::autograd::variable_list backward(Context* context,
                                                 torch::autograd::variable_list grads) {
    const auto capsule = context->saved_data["matrix"].toCapsule();
    const auto& held = static_cast<const HeldMatrix&>(*capsule);
    return {held.matrix->times_transposed(grads[0]), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor Matrix::times(const Tensor& x, const Tensor& bias) const {
  return at::linear(x, dense(x.scalar_type()), bias);
}

Tensor Matrix::times_transposed(const Tensor& g) const {
  return at::matmul(g, dense(g.scalar_type()));
}

MatrixPtr dense_matrix(const Tensor& weight) {
  return std::make_shared<DenseMatrix>(weight);
}

MatrixPtr load_matrix(const Weights& w, int64_t in, int64_t out) {
  if (w.has("weight") && dtype_block(w.dtype("weight")) > 1 && w.options().device.is_cpu())
    return ggml_matrix(w.entry("weight", {out, in}));
  const Tensor weight = w.stored("weight", {out, in});
  const Tensor scale = load_fp8_scale(w, out);
  return scale.defined() ? std::make_shared<Fp8Matrix>(weight, scale) : dense_matrix(weight);
}

Tensor matrix_product(const Tensor& x, const MatrixPtr& matrix, const Tensor& bias) {
  const bool backward = x.requires_grad() && at::GradMode::is_enabled();
  // A plain product is differentiated by libtorch itself, also to a weight that is trained.
  if (!backward || matrix->holds(x.scalar_type())) return matrix->times(x, bias);
  return MatrixProduct::apply(x, c10::make_intrusive<HeldMatrix>(matrix), bias);
}

}  // namespace icedit
