#include "nn/int8_matrix.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <mutex>

#include "nn/comfy_quant.h"
#include "nn/kernels/int8_product.h"
#include "nn/kernels/weight_rows.h"

namespace icedit {
namespace {

class Int8Matrix : public Int8Products {
 public:
  Int8Matrix(int64_t out, int64_t in, int64_t group, std::function<Int8Values()> read)
      : Int8Products(out, in, group), read_(std::move(read)) {}

 private:
  void multiply(const kernels::Int8Rows& x, const Tensor& bias, const Tensor& out,
                const kernels::LowRankTerms& terms) const override {
    kernels::product(x, weight(), bias, out, terms);
  }

  Tensor rows(int64_t first, int64_t count, at::ScalarType dtype) const override {
    return kernels::unpacked(weight(), first, count, group(), dtype);
  }

  const kernels::Int8Weight& weight() const {
    std::call_once(once_, [&] {
      const Int8Values v = read_();
      weight_ = kernels::packed(v.values, v.scales);
      read_ = nullptr;
    });
    return weight_;
  }

  mutable std::once_flag once_;
  mutable std::function<Int8Values()> read_;
  mutable kernels::Int8Weight weight_;
};

}  // namespace

Tensor Int8Products::times(const Operand& x, const Tensor& bias) const {
  return x.fits_kernels() ? times_and_changes(x, bias, {}) : RowMatrix::times(x, bias);
}

bool Int8Products::adds_changes(const Operand& x) const {
  return x.scalar_type() == at::kBFloat16 && x.fits_kernels() && kernels::adds_low_rank();
}

Tensor Int8Products::times_and_changes(const Operand& x, const Tensor& bias,
                                       const LowRankChanges& changes) const {
  Shape shape = x.shape();
  shape.back() = outputs();
  const Tensor y = at::empty(shape, at::TensorOptions(x.scalar_type()));
  const kernels::Int8Rows& rows = x.int8(group_);
  kernels::LowRankTerms terms;
  for (const LowRankChange* change : changes) terms.push_back(change->term(rows, group_));
  multiply(rows, bias, y.view({-1, shape.back()}), terms);
  return y;
}

void rotate_rows(const Tensor& rows, int64_t group) {
  const int64_t in = rows.size(1);
  auto* data = rows.mutable_data_ptr<float>();
  at::parallel_for(0, rows.size(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) kernels::rotate(data + i * in, in, group);
  });
}

// Memory for rows is taken once a thread: what is loaded meanwhile would lie between many such
// blocks, and the heap could not be given back.
void each_rotated_row(const Tensor& rows, int64_t group,
                      const std::function<void(int64_t, const float*)>& use) {
  constexpr int64_t kAtOnce = 8;
  const int64_t in = rows.size(1);
  at::parallel_for(0, rows.size(0), kAtOnce, [&](int64_t begin, int64_t end) {
    const Tensor wide = at::empty({std::min(kAtOnce, end - begin), in}, at::kFloat);
    for (int64_t first = begin; first < end; first += kAtOnce) {
      const int64_t count = std::min(kAtOnce, end - first);
      wide.narrow(0, 0, count).copy_(rows.narrow(0, first, count));
      auto* row = wide.mutable_data_ptr<float>();
      for (int64_t i = first; i < first + count; ++i, row += in) {
        kernels::rotate(row, in, group);
        use(i, row);
      }
    }
  });
}

int64_t rotation_group(int64_t in) {
  for (const int64_t group : {256, 64, 16})
    if (in % group == 0) return group;
  return 0;
}

Int8Values Int8Values::empty(int64_t out, int64_t in, int64_t group) {
  return {at::empty({out, in}, at::kChar), at::empty({out}, at::kFloat), group};
}

Int8Values Int8Values::rows(int64_t first, int64_t count) const {
  return {values.narrow(0, first, count), scales.narrow(0, first, count), group};
}

void quantise_rows(const Tensor& rows, const Int8Values& to) {
  const int64_t in = rows.size(1);
  auto* scales = to.scales.mutable_data_ptr<float>();
  auto* values = to.values.mutable_data_ptr<int8_t>();
  each_rotated_row(rows, to.group, [&](int64_t i, const float* row) {
    scales[i] = kernels::int8_row(row, in, values + i * in);
  });
}

Int8Values quantised_rows(const Tensor& rows, int64_t group) {
  Int8Values made = Int8Values::empty(rows.size(0), rows.size(1), group);
  quantise_rows(rows, made);
  return made;
}

MatrixPtr int8_matrix(const Int8Values& v) {
  return std::make_shared<Int8Matrix>(v.values.size(0), v.values.size(1), v.group,
                                      [v] { return v; });
}

MatrixPtr load_int8_matrix(const Weights& w, int64_t in, int64_t out) {
  const Checkpoint::Entry weight = w.entry("weight", {out, in});
  const int64_t group = read_comfy_quant(w, in).group;
  if (!w.has("weight_scale"))
    fail_at(w, "weight", "is I8, but there is no 'weight_scale' beside it");
  const Shape shape = w.shape("weight_scale");
  const Tensor scale = mapped_tensor(w.entry("weight_scale", shape)).to(at::kFloat);
  if (scale.numel() != out && scale.numel() != 1) {
    fail_at(w, "weight_scale",
            str("is ", shape, ", expected one value for each of the ", out, " rows"));
  }
  const Tensor scales = scale.reshape({-1}).expand({out}).contiguous();
  return std::make_shared<Int8Matrix>(out, in, group, [weight, scales, group] {
    Int8Values v{mapped_tensor(weight).clone(), scales, group};
    weight.release();
    return v;
  });
}

}  // namespace icedit
