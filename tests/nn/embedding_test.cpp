#include "nn/embedding.h"

#include <filesystem>

#include "base/error.h"
#include "golden.h"
#include "nn/activation.h"

namespace icedit {
namespace {

// A file with one table, removed at the end.
class EmbeddingTest : public ::testing::Test {
 protected:
  Embedding load(const std::vector<std::pair<std::string, Tensor>>& tensors,
                 at::ScalarType compute) {
    save_tensors(file_, tensors);
    return Embedding(Weights(Checkpoint::open(file_), {.compute = compute}) / "table", 4, 3);
  }
  void TearDown() override { std::filesystem::remove(file_); }

  const Path file_ = Path(::testing::TempDir()) /
                     str("icedit_", ::testing::UnitTest::GetInstance()->current_test_info()->name(),
                         ".safetensors");
  const Tensor table_ = at::arange(12, at::kFloat).view({4, 3}) / 4 - 1;  // exact in f16 and bf16
  const Tensor ids_ = at::tensor({3, 0, 3, 2}, at::kLong).view({2, 2});
};

TEST_F(EmbeddingTest, RowsComeInTheComputeDtype) {
  for (const auto stored : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const auto compute : {at::kFloat, at::kBFloat16}) {
      const Tensor rows = load({{"table.weight", table_.to(stored)}}, compute)(ids_);
      EXPECT_EQ(rows.scalar_type(), compute);
      EXPECT_TRUE(golden::equal(rows, at::embedding(table_, ids_)));
    }
  }
}

TEST_F(EmbeddingTest, Fp8TablesAreScaled) {
  for (const auto stored : {at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    const Tensor rounded = table_.to(stored);
    const Tensor plain = load({{"table.weight", rounded}}, at::kFloat)(ids_);
    EXPECT_TRUE(golden::equal(plain, at::embedding(rounded.to(at::kFloat), ids_)));
    for (const Shape& shape : {Shape{}, Shape{1}}) {
      const Tensor scale = at::full(shape, 0.5, at::kFloat);
      const Tensor scaled =
          load({{"table.weight", rounded}, {"table.scale_weight", scale}}, at::kFloat)(ids_);
      EXPECT_TRUE(golden::equal(scaled, plain * 0.5));
    }
  }
}

TEST_F(EmbeddingTest, AnotherShapeIsAnError) {
  EXPECT_THROW(load({{"table.weight", at::zeros({4, 2})}}, at::kFloat), CheckpointError);
  EXPECT_THROW(load({{"table.wait", table_}}, at::kFloat), CheckpointError);
}

TEST(Activation, NamesAreThoseOfTransformers) {
  const Tensor x = at::linspace(-3, 3, 13);
  const auto act = [&](const char* name) { return activation_named(name, "config.json")(x); };
  const Tensor tanh = 0.5 * x * (1 + at::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x.pow(3))));
  EXPECT_TRUE(golden::equal(act("relu"), x.clamp_min(0)));
  EXPECT_TRUE(golden::close(act("gelu"), 0.5 * x * (1 + at::erf(x / std::sqrt(2.0))), 1e-6));
  EXPECT_TRUE(golden::close(act("gelu_new"), tanh, 1e-6));
  EXPECT_TRUE(golden::close(act("gelu_pytorch_tanh"), tanh, 1e-6));
  EXPECT_TRUE(golden::close(act("quick_gelu"), x / (1 + at::exp(-1.702 * x)), 1e-6));
  EXPECT_TRUE(golden::close(act("silu"), x / (1 + at::exp(-x)), 1e-6));
  EXPECT_TRUE(golden::equal(act("swish"), act("silu")));
  EXPECT_THROW(act("mish"), CheckpointError);
}

}  // namespace
}  // namespace icedit
