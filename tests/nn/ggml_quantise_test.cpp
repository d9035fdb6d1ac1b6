// What blocks made of f32 cost; their bytes: tests/models/gguf_test.cpp.
#include "nn/ggml_quantise.h"

#include "golden.h"
#include "nn/ggml.h"

namespace icedit {
namespace {

Tensor values_of(const Tensor& blocks, Dtype dtype, int64_t in) {
  const Tensor values = at::empty({blocks.size(0), in}, at::kFloat);
  dequantise(dtype, static_cast<const std::byte*>(blocks.const_data_ptr()), values.numel(),
             values.mutable_data_ptr<float>());
  return values;
}

double error(const Tensor& rows, Dtype dtype) {
  const Tensor got = values_of(blocks_of(rows, dtype), dtype, rows.size(1));
  return ((got - rows).norm() / rows.norm()).item<double>();
}

TEST(GgmlQuantise, AreThoseOfTheBits) {
  at::manual_seed(0);
  const Tensor rows = at::randn({16, 512});
  EXPECT_LT(error(rows, Dtype::kQ8_0), 0.006);
  EXPECT_LT(error(rows, Dtype::kQ4_0), 0.1);
  EXPECT_LT(error(rows, Dtype::kQ4_K), 0.075);
  EXPECT_GT(error(rows, Dtype::kQ4_K), 0.05);
  // Values on one side of zero are where a minimum helps.
  EXPECT_LT(error(rows.abs() + 3, Dtype::kQ4_K), 0.7 * error(rows.abs() + 3, Dtype::kQ4_0));
}

TEST(GgmlQuantise, RowsOfZerosAndOfOneValueStay) {
  for (const Dtype dtype : {Dtype::kQ8_0, Dtype::kQ4_0, Dtype::kQ4_K}) {
    EXPECT_EQ(
        values_of(blocks_of(at::zeros({1, 256}), dtype), dtype, 256).abs().max().item<float>(), 0);
    for (const double value : {2.0, -2.0}) {
      const Tensor rows = at::full({1, 256}, value);
      EXPECT_LT(error(rows, dtype), 0.01) << dtype_name(dtype) << value;
    }
  }
}

}  // namespace
}  // namespace icedit
