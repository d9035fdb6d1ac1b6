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

template <class Values>
Values quantised(const Matrix& stored, int64_t out, int64_t in) {
  const Values whole = Values::empty(out, in, rotation_group(in));
  stored.each_tile(read_as(stored), [&](int64_t first, const Tensor& rows) {
    quantise_rows(rows, whole.rows(first, rows.size(0)));
  });
  return whole;
}

}  // namespace

MatrixPtr quantised_matrix(const Matrix& stored, int64_t out, int64_t in, Quant quant) {
  return quant == Quant::kInt4 ? int4_matrix(quantised<Int4Values>(stored, out, in))
                               : int8_matrix(quantised<Int8Values>(stored, out, in));
}

}  // namespace icedit
