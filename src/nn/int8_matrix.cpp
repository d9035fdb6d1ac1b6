#include "nn/int8_matrix.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/json.h"
#include "nn/kernels/int8_product.h"

namespace icedit {
namespace {

constexpr std::string_view kFormat = "int8_tensorwise";
constexpr size_t kMostDescription = 64 << 10;  // bytes of JSON
constexpr int64_t kMostGroup = 4096;

void rotate_rows(const Tensor& rows, int64_t group) {
  const int64_t in = rows.size(1);
  auto* data = rows.mutable_data_ptr<float>();
  at::parallel_for(0, rows.size(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) kernels::rotate(data + i * in, in, group);
  });
}

class Int8Matrix : public RowMatrix {
 public:
  Int8Matrix(int64_t out, int64_t in, int64_t group, std::function<Int8Values()> read)
      : RowMatrix(out, in), group_(group), read_(std::move(read)) {}

  bool multiplies_as_stored() const override { return true; }

  Tensor times(const Operand& x, const Tensor& bias) const override {
    if (!x.fits_kernels()) return RowMatrix::times(x, bias);
    Shape shape = x.shape();
    shape.back() = weight().out;
    const Tensor y = at::empty(shape, at::TensorOptions(x.scalar_type()));
    kernels::product(x.int8(group_), weight(), bias, y.view({-1, shape.back()}));
    return y;
  }

  Tensor times_with_gradient(const Tensor& x, const Tensor& bias) const override {
    return RowMatrix::times(x, bias);
  }

 private:
  Tensor rows(int64_t first, int64_t count) const override {
    Tensor rows = kernels::unpacked(weight(), first, count);
    rotate_rows(rows, group_);  // its own inverse
    return rows;
  }

  const kernels::Int8Weight& weight() const {
    std::call_once(once_, [&] {
      const Int8Values v = read_();
      weight_ = kernels::packed(v.values, v.scales);
      read_ = nullptr;
    });
    return weight_;
  }

  int64_t group_;
  mutable std::once_flag once_;
  mutable std::function<Int8Values()> read_;
  mutable kernels::Int8Weight weight_;
};

[[noreturn]] void fail(const Weights& w, const std::string& part, const std::string& what) {
  throw CheckpointError(str(w.where(), ": tensor '", (w / part).path(), "' ", what));
}

int64_t group_in(const Weights& w, const std::string& text) {
  const auto json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("format") || !json["format"].is_string())
    fail(w, "comfy_quant", "is not a JSON object with a \"format\"; the file is damaged");
  if (json["format"] != kFormat) {
    fail(w, "comfy_quant",
         str("says format '", json["format"].get<std::string>(), "', expected '", kFormat,
             "'; of ComfyUI's quantised formats this one and fp8 are read"));
  }
  const auto rotated = json.find("convrot");
  if (rotated == json.end() || *rotated == false) return 0;
  const auto group = json.find("convrot_groupsize");
  if (group == json.end()) return 256;
  const int64_t size = group->is_number_integer() ? group->get<int64_t>() : 0;
  for (int64_t power = 16; power <= kMostGroup; power *= 4)
    if (size == power) return size;
  fail(w, "comfy_quant",
       str("says convrot_groupsize ", dumped(*group), ", expected a power of 4 from 16 on"));
}

}  // namespace

int64_t rotation_group(int64_t in) {
  for (const int64_t group : {256, 64, 16})
    if (in % group == 0) return group;
  return 0;
}

Int8Values quantised_rows(const Tensor& rows, int64_t group) {
  Int8Values made;
  made.group = group;
  made.scales = at::empty({rows.size(0)}, at::kFloat);
  made.values = at::empty(rows.sizes(), at::kChar);
  const Tensor wide = rows.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  rotate_rows(wide, group);
  const int64_t in = rows.size(1);
  const auto* from = wide.const_data_ptr<float>();
  auto* scales = made.scales.mutable_data_ptr<float>();
  auto* to = made.values.mutable_data_ptr<int8_t>();
  at::parallel_for(0, rows.size(0), 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float scale = kernels::largest(from + i * in, in) / 127.0F;
      scales[i] = scale;
      for (int64_t k = 0; k < in; ++k) {
        const float q = scale > 0 ? std::nearbyint(from[i * in + k] / scale) : 0.0F;
        to[i * in + k] = int8_t(std::clamp(q, -127.0F, 127.0F));
      }
    }
  });
  return made;
}

std::string int8_description(int64_t group) {
  Json json = {{"format", kFormat}};
  if (group != 0) {
    json["convrot"] = true;
    json["convrot_groupsize"] = group;
  }
  return dumped(json);
}

MatrixPtr int8_matrix(const Int8Values& v) {
  return std::make_shared<Int8Matrix>(v.values.size(0), v.values.size(1), v.group,
                                      [v] { return v; });
}

bool has_int8_matrix(const Weights& w) {
  return w.has("weight") && w.dtype("weight") == Dtype::kI8;
}

MatrixPtr load_int8_matrix(const Weights& w, int64_t in, int64_t out) {
  const Checkpoint::Entry weight = w.entry("weight", {out, in});
  if (!w.has("comfy_quant")) {
    fail(w, "weight",
         "is I8, but no 'comfy_quant' beside it says how; ComfyUI's int8 layout has one");
  }
  const Checkpoint::Entry description = w.entry("comfy_quant", w.shape("comfy_quant"));
  const Bytes text = description.bytes();
  if (text.size() > kMostDescription)
    fail(w, "comfy_quant", str("has ", text.size(), " bytes, expected at most 64 KiB of JSON"));
  const int64_t group = group_in(w, {reinterpret_cast<const char*>(text.data()), text.size()});
  if (group != 0 && in % group != 0) {
    fail(w, "comfy_quant",
         str("says groups of ", group, " inputs, which do not divide the matrix's ", in));
  }
  if (in % 16 != 0) fail(w, "weight", str("has ", in, " inputs, expected a multiple of 16"));
  if (!w.has("weight_scale")) fail(w, "weight", "is I8, but there is no 'weight_scale' beside it");
  const Shape shape = w.shape("weight_scale");
  const Tensor scale = mapped_tensor(w.entry("weight_scale", shape)).to(at::kFloat);
  if (scale.numel() != out && scale.numel() != 1) {
    fail(w, "weight_scale",
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
