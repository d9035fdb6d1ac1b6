#pragma once
// Matrices of whole numbers of 8 bits with a factor for each row (W8A8): inputs are quantised too,
// with a factor for each token. Both are rotated first, each run of `group` inputs by the regular
// Hadamard matrix (ConvRot), which spreads outliers. Where a gradient is wanted only the weights
// are quantised. Files: ComfyUI's "int8_tensorwise"; M.weight I8 [out, in], M.weight_scale F32
// [out] or [out, 1], M.comfy_quant U8, JSON {"format", "convrot", "convrot_groupsize"}. Source:
// Comfy-Org's comfy-kitchen (the layout and the rotation).
#include "nn/matrix.h"

namespace icedit {

struct Int8Values {
  Tensor values;      // int8 [out, in], rotated
  Tensor scales;      // f32 [out]
  int64_t group = 0;  // of the rotation; 0: none

  static Int8Values empty(int64_t out, int64_t in, int64_t group);
  Int8Values rows(int64_t first, int64_t count) const;  // in the same memory
};

// One whose products, where no gradient is wanted, are those of whole numbers of 8 bits.
class Int8Products : public RowMatrix {
 public:
  Int8Products(int64_t out, int64_t in, int64_t group) : RowMatrix(out, in), group_(group) {}

  bool multiplies_as_stored() const override { return true; }
  Tensor times(const Operand& x, const Tensor& bias) const override;
  bool adds_changes(const Operand& x) const override;  // in bf16
  Tensor times_and_changes(const Operand& x, const Tensor& bias,
                           const LowRankChanges& changes) const override;
  Tensor times_with_gradient(const Tensor& x, const Tensor& bias) const override {
    return RowMatrix::times(x, bias);
  }

 protected:
  int64_t group() const { return group_; }  // of the rotation of the inputs
  // out [rows of x, out], f32 or bf16.
  virtual void multiply(const kernels::Int8Rows& x, const Tensor& bias, const Tensor& out,
                        const kernels::LowRankTerms& terms) const = 0;

 private:
  int64_t group_;
};

// The largest group that divides `in`, of 256, 64 and 16; 0 where none does: not to be quantised.
int64_t rotation_group(int64_t in);
void rotate_rows(const Tensor& rows, int64_t group);  // f32, in its memory
// use(i, row): of each row in f32, rotated, on several threads. rows: any floats.
void each_rotated_row(const Tensor& rows, int64_t group,
                      const std::function<void(int64_t i, const float* row)>& use);

// rows [out, in]; group divides in.
Int8Values quantised_rows(const Tensor& rows, int64_t group);
void quantise_rows(const Tensor& rows, const Int8Values& to);

MatrixPtr int8_matrix(const Int8Values& values);

// `w`'s matrix in this layout, packed for products at its first use, when the file's pages are
// given back. Throws CheckpointError: a part is missing, has another shape or says what we do not
// know.
MatrixPtr load_int8_matrix(const Weights& w, int64_t in, int64_t out);

}  // namespace icedit
