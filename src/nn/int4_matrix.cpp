#include "nn/int4_matrix.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "base/error.h"
#include "nn/comfy_quant.h"
#include "nn/int8_matrix.h"
#include "nn/kernels/int4_rows.h"

namespace icedit {
namespace {

constexpr int64_t kLevels = 16, kFactors = 256;

bool is_finite(const Int4Values& v) {
  const Tensor magnitudes = v.run_scales.view(at::kByte).bitwise_and(0x7f);
  return magnitudes.lt(0x7f).all().item<bool>() && at::isfinite(v.scales).all().item<bool>();
}

class Int4Matrix : public Int8Products {
 public:
  Int4Matrix(Int4Values values, std::string where)
      : Int8Products(values.scales.size(0), 2 * values.codes.size(1), values.group),
        values_(std::move(values)),
        where_(std::move(where)) {}

 private:
  Tensor rows(int64_t first, int64_t count, at::ScalarType dtype) const override {
    return kernels::unpacked(kernels::tiles_of(weight(), first, count), 0, count, group(), dtype);
  }
  void multiply(const kernels::Int8Rows& x, const Tensor& bias, const Tensor& out,
                const kernels::LowRankTerms& terms) const override {
    kernels::product(x, weight(), bias, out, terms);
  }

  const kernels::Int4Weight& weight() const {
    std::call_once(once_, [&] {
      if (!is_finite(values_)) {
        throw CheckpointError(
            str(where_, "'s scales hold NaN or infinity; the file is damaged, get it again"));
      }
      weight_ = {values_.codes, values_.run_scales.view(at::kByte),
                 int4_value_tables(values_.levels), values_.scales};
    });
    return weight_;
  }

  Int4Values values_;
  std::string where_;
  mutable std::once_flag once_;
  mutable kernels::Int4Weight weight_;
};

const Checkpoint::Entry& part_of(const Weights& w, const std::string& name, Dtype dtype,
                                 const Shape& shape) {
  if (!w.has(name)) fail_at(w, "weight", str("has 4 bits, but there is no '", name, "' beside it"));
  if (w.dtype(name) != dtype || w.shape(name) != shape) {
    fail_at(w, name,
            str("is ", dtype_name(w.dtype(name)), " ", w.shape(name), ", expected ",
                dtype_name(dtype), " ", shape));
  }
  return w.entry(name, shape);
}

Tensor levels_of(const Weights& w) {
  const Tensor even = at::arange(-8, 8, at::kFloat);
  if (!w.has("weight_codebook")) return even;
  const Tensor levels =
      mapped_tensor(part_of(w, "weight_codebook", Dtype::kF32, {kLevels})).clone();
  if (!at::isfinite(levels).all().item<bool>())
    fail_at(w, "weight_codebook", "holds NaN or infinity; the file is damaged, get it again");
  return levels;
}

}  // namespace

Tensor int4_value_tables(const Tensor& levels) {
  const Tensor tables = at::empty({kFactors, kLevels}, at::kChar);
  const auto* level = levels.const_data_ptr<float>();
  auto* to = tables.mutable_data_ptr<int8_t>();
  for (int64_t bits = 0; bits < kFactors; ++bits) {
    const auto factor = float(c10::Float8_e4m3fn(uint8_t(bits), c10::Float8_e4m3fn::from_bits()));
    for (int64_t i = 0; i < kLevels; ++i) {
      const float value = std::clamp(std::nearbyint(level[i] * factor), -127.0F, 127.0F);
      *to++ = std::isfinite(value) ? int8_t(value) : int8_t{0};
    }
  }
  return tables;
}

MatrixPtr int4_matrix(const Int4Values& values) {
  return std::make_shared<Int4Matrix>(values, "a matrix");
}

MatrixPtr load_int4_matrix(const Weights& w, int64_t in, int64_t out) {
  if (w.has("weight_correction")) {
    fail_at(w, "weight_correction",
            "is of the asymmetric form, which is not read; give a file without corrections");
  }
  Int4Values v;
  v.group = read_comfy_quant(w, in).group;
  v.codes = mapped_tensor(part_of(w, "weight", Dtype::kI8, {out, in / 2})).view(at::kByte);
  v.run_scales = mapped_tensor(part_of(w, "weight_s_rel", Dtype::kF8E4M3, {out, in / kInt4Run}));
  v.scales = mapped_tensor(part_of(w, "weight_s_channel", Dtype::kF32, {out}));
  v.levels = levels_of(w);
  return std::make_shared<Int4Matrix>(v, str(w.where(), ": tensor '", w.path(), ".weight'"));
}

}  // namespace icedit
