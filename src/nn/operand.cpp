#include "nn/operand.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "nn/norm.h"
#include "nn/recompute.h"
#include "nn/stopwatch.h"

namespace icedit {
namespace {

using kernels::kLanes;
using kernels::Made;
using kernels::Part;

bool is_dense(const Tensor& x) {
  return !x.defined() || x.stride(-1) == 1;
}

bool fits(const Part& part) {
  const Tensor& x = part.x;
  const auto dtype = x.scalar_type();
  return x.is_cpu() && (dtype == at::kFloat || dtype == at::kBFloat16) && x.dim() == 3 &&
         x.numel() > 0 && x.size(2) % kLanes == 0 && is_dense(x) && is_dense(part.shift) &&
         is_dense(part.scale);
}

Tensor plain(const Part& part) {
  switch (part.made) {
    case Made::kGeluTanh:
      return at::gelu(part.x, "tanh");
    case Made::kModulatedNorm:
      return layer_norm(part.x, part.eps) * (1 + part.scale) + part.shift;
    case Made::kNothing:
      break;
  }
  return part.x;
}

}  // namespace

Operand::Operand(const Tensor& x) : parts_({{x, Made::kNothing, {}, {}, 0}}) {}

Operand Operand::gelu_tanh(const Tensor& x) {
  return Operand(std::vector<Part>{{x, Made::kGeluTanh, {}, {}, 0}});
}

Operand Operand::modulated_norm(const Tensor& x, const Tensor& shift, const Tensor& scale,
                                double eps) {
  return Operand(std::vector<Part>{{x, Made::kModulatedNorm, shift, scale, eps}});
}

Operand Operand::joined(const std::vector<Operand>& operands) {
  std::vector<Part> parts;
  for (const Operand& operand : operands)
    parts.insert(parts.end(), operand.parts_.begin(), operand.parts_.end());
  return Operand(std::move(parts));
}

Shape Operand::shape() const {
  Shape shape = parts_.front().x.sizes().vec();
  for (size_t i = 1; i < parts_.size(); ++i) shape.back() += parts_[i].x.size(-1);
  return shape;
}

bool Operand::fits_kernels() const {
  return !gradients_wanted() && std::all_of(parts_.begin(), parts_.end(), fits);
}

const Tensor& Operand::tensor() const {
  if (tensor_.defined()) return tensor_;
  const Timed timed(Work::kInputs);
  const bool as_it_is = parts_.size() == 1 && parts_.front().made == Made::kNothing;
  if (!as_it_is && fits_kernels()) return tensor_ = kernels::joined(parts_);
  Tensors made;
  for (const Part& part : parts_) made.push_back(plain(part));
  return tensor_ = made.size() == 1 ? made.front() : at::cat(made, -1);
}

const kernels::Int8Rows& Operand::int8(int64_t group) const {
  if (!int8_ || group_ != group) {
    const Timed timed(Work::kInputs);
    int8_ = kernels::quantised(parts_, group);
    group_ = group;
  }
  return *int8_;
}

const kernels::Bf16Rows& Operand::tiled() const {
  if (tiled_) return *tiled_;
  const Timed timed(Work::kInputs);
  if (fits_kernels() && !tensor_.defined()) return *(tiled_ = kernels::tiled(parts_));
  const Tensor rows = tensor().reshape({1, -1, tensor().size(-1)});
  return *(tiled_ = kernels::tiled({{rows, Made::kNothing, {}, {}, 0}}));
}

}  // namespace icedit
