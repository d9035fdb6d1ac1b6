#pragma once
// What matrices are multiplied with: a tensor, or what a formula makes of some. It is made when it
// is first asked for, once for all products that share it, and in the form that a matrix reads: as
// a tensor, in tiles, or rotated and in 8 bits, in one pass over what it is made of (nn/kernels).
#include <optional>
#include <vector>

#include "base/tensor.h"
#include "nn/kernels/kernels.h"

namespace icedit {

class Operand {
 public:
  Operand(const Tensor& x);  // NOLINT: a tensor is the plainest operand
  static Operand gelu_tanh(const Tensor& x);
  // layer_norm(x) (1 + scale) + shift. x [B, S, C], shift and scale [B, 1, C].
  static Operand modulated_norm(const Tensor& x, const Tensor& shift, const Tensor& scale,
                                double eps);
  static Operand joined(const std::vector<Operand>& parts);  // along the last dimension

  Shape shape() const;
  at::ScalarType scalar_type() const { return parts_.front().x.scalar_type(); }
  // The formulas one by one where a gradient is wanted or the kernels cannot make it.
  const Tensor& tensor() const;
  // Whether int8 can be asked for: on the CPU, no gradient is wanted, ...
  bool fits_kernels() const;
  const kernels::Int8Rows& int8(int64_t group) const;
  // Of a tensor in bf16 on the CPU; tensor() where it does not fit the kernels.
  const kernels::Bf16Rows& tiled() const;

 private:
  explicit Operand(std::vector<kernels::Part> parts) : parts_(std::move(parts)) {}

  std::vector<kernels::Part> parts_;
  mutable Tensor tensor_;
  mutable std::optional<kernels::Int8Rows> int8_;
  mutable int64_t group_ = 0;  // of int8_
  mutable std::optional<kernels::Bf16Rows> tiled_;
};

}  // namespace icedit
