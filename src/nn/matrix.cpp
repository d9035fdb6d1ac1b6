#include "nn/matrix.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "nn/block.h"
#include "nn/comfy_quant.h"
#include "nn/fp8_scales.h"
#include "nn/ggml.h"
#include "nn/int4_matrix.h"
#include "nn/int8_matrix.h"
#include "nn/kernels/bf16_product.h"
#include "nn/quantised_matrix.h"
#include "nn/recompute.h"

namespace icedit {
namespace {

using UseRows = std::function<void(int64_t first, const Tensor& rows)>;

// Some rows at a time: in 32s, as products of tiles are.
void for_tiles(int64_t out, int64_t in, const std::function<void(int64_t, int64_t)>& use) {
  const int64_t most = std::max<int64_t>(1, kMostAtOnce / in / 32) * 32;
  for (int64_t first = 0; first < out; first += most) use(first, std::min(most, out - first));
}

class DenseMatrix : public Matrix {
 public:
  explicit DenseMatrix(Tensor weight) : weight_(std::move(weight)) {}

  Tensor dense(at::ScalarType dtype) const override { return weight_.to(dtype); }
  bool holds(at::ScalarType dtype) const override { return weight_.scalar_type() == dtype; }
  void each_tile(at::ScalarType dtype, const UseRows& use) const override {
    for_tiles(weight_.size(0), weight_.size(1), [&](int64_t first, int64_t count) {
      use(first, weight_.narrow(0, first, count).to(dtype));
    });
  }

 private:
  Tensor weight_;
};

class Fp8Matrix : public Matrix {
 public:
  Fp8Matrix(Tensor weight, Tensor scale) : weight_(std::move(weight)), scale_(std::move(scale)) {}

  Tensor dense(at::ScalarType dtype) const override { return scaled(weight_, scale_, dtype); }
  void each_tile(at::ScalarType dtype, const UseRows& use) const override {
    for_tiles(weight_.size(0), weight_.size(1), [&](int64_t first, int64_t count) {
      const Tensor scale = scale_.dim() == 0 ? scale_ : scale_.narrow(0, first, count);
      use(first, scaled(weight_.narrow(0, first, count), scale, dtype));
    });
  }

 private:
  static Tensor scaled(const Tensor& weight, const Tensor& scale, at::ScalarType dtype) {
    return weight.to(dtype, /*non_blocking=*/false, /*copy=*/true).mul_(scale.to(dtype));
  }

  Tensor weight_;
  Tensor scale_;  // a scalar or [out, 1]
};

struct HeldMatrix : torch::CustomClassHolder {
  explicit HeldMatrix(MatrixPtr m) : matrix(std::move(m)) {}
  MatrixPtr matrix;
};

// make(), or where `once` says so only the first pass of a recomputed block's.
Tensor made(bool once, const std::function<Tensor()>& make) {
  return once ? computed_once([&] { return Tensors{make()}; })[0] : make();
}

// What is converted for a product is not kept until the backward pass, but converted again.
class MatrixProduct : public torch::autograd::Function<MatrixProduct> {
 public:
  using Context = torch::autograd::AutogradContext;

  static Tensor forward(Context* context, const Tensor& x,
                        const c10::intrusive_ptr<HeldMatrix>& held, const Tensor& bias, bool once) {
    context->saved_data["matrix"] = c10::IValue::make_capsule(held);
    return made(once, [&] { return held->matrix->times_with_gradient(x, bias); });
  }

  static torch::autograd::variable_list backward(Context* context,
                                                 torch::autograd::variable_list grads) {
    const auto capsule = context->saved_data["matrix"].toCapsule();
    const auto& held = static_cast<const HeldMatrix&>(*capsule);
    return {held.matrix->times_transposed(grads[0]), Tensor(), Tensor(), Tensor()};
  }
};

// Ours, where there is one for this weight: rows enough to be worth the weight's packing.
bool has_own_product(const Tensor& weight, at::ScalarType dtype, int64_t rows) {
  constexpr int64_t kLeastRows = 32;
  return dtype == at::kBFloat16 && rows >= kLeastRows && kernels::multiplies_bf16(weight);
}

int64_t rows_of(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end() - 1, int64_t{1}, std::multiplies<>());
}

Tensor of_width(Shape shape, int64_t width) {
  shape.back() = width;
  return at::empty(shape, at::kBFloat16);
}

// Where there is one.
Tensor own_product(const Operand& x, const Tensor& weight, const Tensor& bias,
                   const LowRankChanges& changes) {
  const Tensor y = of_width(x.shape(), weight.size(0));
  kernels::LowRankTerms terms;
  for (const LowRankChange* change : changes) terms.push_back(change->term(x.tiled()));
  kernels::product(x.tiled(), weight, bias, y, terms);
  return y;
}

// x weight^T + bias.
Tensor linear(const Operand& x, const Tensor& weight, const Tensor& bias) {
  if (!has_own_product(weight, x.scalar_type(), rows_of(x.shape())))
    return at::linear(x.tensor(), weight, bias);
  return own_product(x, weight, bias, {});
}

// g weight.
Tensor linear_transposed(const Tensor& g, const Tensor& weight) {
  if (!has_own_product(weight, g.scalar_type(), rows_of(g.sizes().vec())))
    return at::matmul(g, weight);
  const Tensor made = of_width(g.sizes().vec(), weight.size(1));
  kernels::product_transposed(Operand(g).tiled(), weight, made);
  return made;
}

bool int8_blocks(const Weights& w) {
  return w.options().int8_blocks && w.options().quantises(w.path());
}

// Of another kind where `w`'s options say so; nullptr where it stays as it is stored.
MatrixPtr quantised(const Weights& w, const Matrix& stored, int64_t in, int64_t out) {
  if (!w.options().quantises(w.path()) || rotation_group(in) == 0 || stored.multiplies_as_stored())
    return nullptr;
  const Quant quant = w.options().quant;
  const bool blocks = int8_blocks(w) && dtype_block(w.dtype("weight")) > 1;
  if (quant == Quant::kNone && !blocks) return nullptr;
  return quantised_matrix(stored, out, in, quant == Quant::kInt4 ? Quant::kInt4 : Quant::kInt8);
}

// As it lies in the file: in blocks or whole numbers, or else a tensor that is mapped.
struct Stored {
  MatrixPtr packed;
  Tensor weight;
};

Stored find_stored(const Weights& w, int64_t in, int64_t out) {
  if (w.has("weight") && dtype_block(w.dtype("weight")) > 1)
    return {ggml_matrix(w.entry("weight", {out, in}), int8_blocks(w)), {}};
  if (w.has("weight") && w.dtype("weight") == Dtype::kI8) {
    const bool four = read_comfy_quant(w, in).format == kInt4Format;
    return {(four ? load_int4_matrix : load_int8_matrix)(w, in, out), {}};
  }
  return {nullptr, w.stored("weight", {out, in})};
}

// On the device. What libtorch has no dtype for has products on the CPU alone, and is dense
// elsewhere.
MatrixPtr load_stored(const Weights& w, int64_t in, int64_t out) {
  const auto [packed, stored] = find_stored(w, in, out);
  const LoadOptions& options = w.options();
  if (packed && options.device.is_cpu()) return packed;
  const Tensor weight = (packed ? packed->dense(options.compute) : stored).to(options.device);
  if (!options.device.is_cpu()) w.entry("weight", w.shape("weight")).release();
  if (packed) return dense_matrix(weight);
  const Tensor scale = load_fp8_scale(w, out);
  return scale.defined() ? std::make_shared<Fp8Matrix>(weight, scale) : dense_matrix(weight);
}

}  // namespace

Tensor Matrix::times(const Operand& x, const Tensor& bias) const {
  return linear(x, dense(x.scalar_type()), bias);
}

bool Matrix::adds_changes(const Operand& x) const {
  const auto dtype = x.scalar_type();
  return holds(dtype) && has_own_product(dense(dtype), dtype, rows_of(x.shape()));
}

Tensor Matrix::times_and_changes(const Operand& x, const Tensor& bias,
                                 const LowRankChanges& changes) const {
  return own_product(x, dense(at::kBFloat16), bias, changes);
}

Tensor Matrix::times_transposed(const Tensor& g) const {
  return linear_transposed(g, dense(g.scalar_type()));
}

Tensor RowMatrix::times(const Operand& x, const Tensor& bias) const {
  Tensors parts;
  each_tile(x.scalar_type(), [&](int64_t first, const Tensor& rows) {
    const Tensor own = bias.defined() ? bias.narrow(0, first, rows.size(0)) : bias;
    parts.push_back(linear(x, rows, own));
  });
  return parts.size() == 1 ? parts[0] : at::cat(parts, -1);
}

Tensor RowMatrix::times_transposed(const Tensor& g) const {
  Tensor sum;
  each_tile(g.scalar_type(), [&](int64_t first, const Tensor& rows) {
    const Tensor part = linear_transposed(g.narrow(-1, first, rows.size(0)), rows);
    sum = sum.defined() ? sum + part : part;
  });
  return sum;
}

Tensor RowMatrix::dense(at::ScalarType dtype) const {
  const Tensor whole = at::empty({out_, in_}, dtype);
  each_tile(dtype, [&](int64_t first, const Tensor& rows) {
    whole.narrow(0, first, rows.size(0)).copy_(rows);
  });
  return whole;
}

void RowMatrix::each_tile(at::ScalarType dtype, const UseRows& use) const {
  for_tiles(out_, in_,
            [&](int64_t first, int64_t count) { use(first, rows(first, count, dtype)); });
}

MatrixPtr dense_matrix(const Tensor& weight) {
  return std::make_shared<DenseMatrix>(weight);
}

MatrixPtr load_matrix(const Weights& w, int64_t in, int64_t out) {
  const MatrixPtr stored = load_stored(w, in, out);
  const MatrixPtr made = quantised(w, *stored, in, out);
  if (made == nullptr) return stored;
  w.entry("weight", {out, in}).release();
  return made;
}

void expect_matrix(const Weights& w, int64_t in, int64_t out) {
  if (!find_stored(w, in, out).packed) load_fp8_scale(w, out);
}

Tensor matrix_product(const Operand& x, const MatrixPtr& matrix, const Tensor& bias, bool once) {
  const auto dtype = x.scalar_type();
  once = once && dtype == at::kFloat && gradients_wanted() && matrix->holds(dtype) &&
         !matrix->dense(dtype).requires_grad();
  const bool backward = at::GradMode::is_enabled() && x.tensor().requires_grad();
  if (!backward) return made(once, [&] { return matrix->times(x, bias); });
  // A plain product is differentiated by libtorch itself, also to a weight that is trained.
  if (!once && matrix->holds(dtype) &&
      !has_own_product(matrix->dense(dtype), dtype, rows_of(x.shape())))
    return matrix->times(x, bias);
  return MatrixProduct::apply(x.tensor(), c10::make_intrusive<HeldMatrix>(matrix), bias, once);
}

}  // namespace icedit
