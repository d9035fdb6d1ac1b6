#include "nn/matrix.h"

#include <gtest/gtest.h>

#include "golden.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

constexpr double kRounding = 1e-6;
constexpr int64_t kIn = 6, kOut = 4;

class MatrixKinds : public ::testing::Test {
 protected:
  // Each kind, and what it is in f32.
  std::vector<std::pair<MatrixPtr, Tensor>> kinds() const {
    std::vector<std::pair<MatrixPtr, Tensor>> made;
    for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn}) {
      for (const Tensor& scale : {Tensor(), at::scalar_tensor(0.25), at::rand({kOut}) + 0.5}) {
        const Tensor stored = weight_.to(dtype);
        Tensor dense = stored.to(at::kFloat);
        std::vector<std::pair<std::string, Tensor>> tensors = {{"layer.weight", stored}};
        if (scale.defined()) {
          tensors.emplace_back("layer.weight_scale", scale);
          dense = dense * scale.reshape({-1, 1});
        }
        const Path file = folder_.path() / "model.safetensors";
        save_tensors(file, tensors);
        const Weights w(Checkpoint::open(file), {});
        made.emplace_back(load_matrix(w / "layer", kIn, kOut), dense);
      }
    }
    return made;
  }

  TemporaryFolder folder_;
  Tensor weight_ = at::randn({kOut, kIn}), bias_ = at::randn({kOut}), x_ = at::randn({2, 3, kIn}),
         g_ = at::randn({2, 3, kOut});
};

TEST_F(MatrixKinds, ProductsAreThoseOfTheDenseMatrix) {
  for (const auto& [matrix, dense] : kinds()) {
    EXPECT_TRUE(golden::equal(matrix->dense(at::kFloat), dense));
    EXPECT_TRUE(golden::close(matrix->times(x_, bias_), at::linear(x_, dense, bias_), kRounding));
    EXPECT_TRUE(golden::close(matrix->times(x_, {}), at::linear(x_, dense), kRounding));
    EXPECT_TRUE(golden::close(matrix->times_transposed(g_), at::matmul(g_, dense), kRounding));
  }
}

TEST_F(MatrixKinds, XGetsItsGradient) {
  for (const auto& [matrix, dense] : kinds()) {
    Tensor x = x_.clone().requires_grad_();
    matrix_product(x, matrix, bias_).backward(g_);
    EXPECT_TRUE(golden::close(x.grad(), at::matmul(g_, dense), kRounding));
    EXPECT_FALSE(matrix_product(x_, matrix, bias_).requires_grad());
  }
}

TEST_F(MatrixKinds, OnlyAWeightThatIsHeldAsItIsGetsOne) {
  Tensor leaf = weight_.clone().requires_grad_();
  matrix_product(x_, dense_matrix(leaf), bias_).backward(g_);
  EXPECT_TRUE(golden::close(leaf.grad(), g_.flatten(0, 1).t().mm(x_.flatten(0, 1)), kRounding));
}

}  // namespace
}  // namespace icedit
