#include "nn/kernels/bf16_product.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "nn/matrix.h"

namespace icedit::kernels {
namespace {

// Blocks are of 256 rows, 512 columns and 8 tiles of 32: sizes below, at, and past them.
struct Sizes {
  int64_t rows, in, out;
};

void PrintTo(const Sizes& s, std::ostream* out) {
  *out << s.rows << " x " << s.in << " x " << s.out;
}

class Bf16Product : public ::testing::TestWithParam<Sizes> {
 protected:
  void SetUp() override {
    if (!multiplies_bf16(weight_)) GTEST_SKIP() << "this CPU has no AMX";
  }

  static Tensor random(at::IntArrayRef shape) { return at::randn(shape).to(at::kBFloat16); }
  Bf16Rows rows(const Tensor& x) const { return tiled({{x, Made::kNothing, {}, {}, 0}}); }
  // Sums in f32 are next to exact; the rest is one rounding to bf16, of half a last place.
  static void expect_rounded(const Tensor& made, const Tensor& exact) {
    const Tensor off = (made.to(at::kDouble) - exact).abs();
    EXPECT_TRUE((off <= exact.abs() / 256 + 1e-3).all().item<bool>()) << off.max();
  }

  Sizes s_ = GetParam();
  // Its rows are parts of longer ones.
  Tensor weight_ = random({s_.out, s_.in + 16}).narrow(1, 8, s_.in), bias_ = random({s_.out});
  Tensor x_ = random({1, s_.rows, s_.in}), g_ = random({1, s_.rows, s_.out});
  Tensor w64_ = weight_.to(at::kDouble), x64_ = x_[0].to(at::kDouble), g64_ = g_[0].to(at::kDouble);
};

TEST_P(Bf16Product, IsXTimesTheTransposedWeight) {
  const Tensor made = at::empty({s_.rows, s_.out}, at::kBFloat16);
  product(rows(x_), weight_, bias_, made);
  expect_rounded(made, at::matmul(x64_, w64_.t()) + bias_.to(at::kDouble));
  product(rows(x_), weight_, {}, made);
  expect_rounded(made, at::matmul(x64_, w64_.t()));
}

TEST_P(Bf16Product, TransposedIsGTimesTheWeight) {
  const Tensor made = at::empty({s_.rows, s_.in}, at::kBFloat16);
  product_transposed(rows(g_), weight_, made);
  expect_rounded(made, at::matmul(g64_, w64_));
}

TEST_P(Bf16Product, IsWhatAMatrixGivesForwardsAndBackwards) {
  const MatrixPtr matrix = dense_matrix(weight_);
  Tensor x = x_.clone().requires_grad_();
  const Tensor y = matrix_product(x, matrix, bias_);
  y.backward(g_);
  expect_rounded(y[0].detach(), at::matmul(x64_, w64_.t()) + bias_.to(at::kDouble));
  expect_rounded(x.grad()[0], at::matmul(g64_, w64_));
  // Without a gradient the same bits.
  EXPECT_TRUE(golden::equal(matrix_product(x_, matrix, bias_), y.detach()));
}

TEST_P(Bf16Product, IsTheSameOnOneThread) {
  const Tensor one = at::empty({s_.rows, s_.out}, at::kBFloat16), more = at::empty_like(one);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  product(rows(x_), weight_, bias_, one);
  at::set_num_threads(3);
  product(rows(x_), weight_, bias_, more);
  at::set_num_threads(threads);
  EXPECT_TRUE(golden::equal(one, more));
}

INSTANTIATE_TEST_SUITE_P(Sizes, Bf16Product,
                         ::testing::Values(Sizes{33, 32, 32}, Sizes{40, 96, 160},
                                           Sizes{256, 512, 512}, Sizes{300, 288, 1056},
                                           Sizes{513, 1088, 64}));

TEST(Bf16ProductOf, AWeightThatIsTrainedIsLibtorchs) {
  const Tensor weight = at::randn({64, 64}).to(at::kBFloat16);
  EXPECT_FALSE(multiplies_bf16(weight.clone().requires_grad_()));
  EXPECT_FALSE(multiplies_bf16(weight.to(at::kFloat)));
  EXPECT_FALSE(multiplies_bf16(weight.t()));
  EXPECT_FALSE(multiplies_bf16(weight.narrow(0, 0, 40)));
}

}  // namespace
}  // namespace icedit::kernels
