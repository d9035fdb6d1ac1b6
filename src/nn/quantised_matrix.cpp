#include "nn/quantised_matrix.h"

#include <ATen/ATen.h>

#include "nn/int4_matrix.h"
#include "nn/int8_matrix.h"

namespace icedit {
namespace {

// What the quantisers widen themselves, some rows at a time, is not f32 before.
at::ScalarType read_as(const Matrix& stored) {
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf})
    if (stored.holds(dtype)) return dtype;
  return at::kFloat;
}

MatrixPtr in_8_bits(const Matrix& stored, int64_t out, int64_t in, int64_t group) {
  const Int8Values whole{at::empty({out, in}, at::kChar), at::empty({out}, at::kFloat), group};
  stored.each_tile(read_as(stored), [&](int64_t first, const Tensor& rows) {
    const Int8Values v = quantised_rows(rows, group);
    whole.values.narrow(0, first, rows.size(0)).copy_(v.values);
    whole.scales.narrow(0, first, rows.size(0)).copy_(v.scales);
  });
  return int8_matrix(whole);
}

MatrixPtr in_4_bits(const Matrix& stored, int64_t out, int64_t in, int64_t group) {
  Int4Values whole{at::empty({out, in / 2}, at::kByte),
                   at::empty({out, in / kInt4Run}, at::kFloat8_e4m3fn),
                   at::empty({out}, at::kFloat),
                   {},
                   group};
  stored.each_tile(read_as(stored), [&](int64_t first, const Tensor& rows) {
    const Int4Values v = quantised_rows_in_4_bits(rows, group);
    whole.codes.narrow(0, first, rows.size(0)).copy_(v.codes);
    whole.run_scales.narrow(0, first, rows.size(0)).copy_(v.run_scales);
    whole.scales.narrow(0, first, rows.size(0)).copy_(v.scales);
    whole.levels = v.levels;  // the same for all
  });
  return int4_matrix(whole);
}

}  // namespace

MatrixPtr quantised_matrix(const Matrix& stored, int64_t out, int64_t in, Quant quant) {
  const int64_t group = rotation_group(in);
  return quant == Quant::kInt4 ? in_4_bits(stored, out, in, group)
                               : in_8_bits(stored, out, in, group);
}

}  // namespace icedit
