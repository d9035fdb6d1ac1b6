// Changes of low rank that products add in their own pass, against the formula.
#include "nn/low_rank.h"

#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "nn/int4_matrix.h"
#include "nn/int8_matrix.h"
#include "nn/kernels/bf16_product.h"
#include "nn/named_tensors.h"

namespace icedit {
namespace {

using kernels::Int8Kernel, kernels::LowRankTerm, kernels::LowRankTerms, kernels::Made;

Tensor bf16(const Shape& shape) {
  return at::randn(shape).to(at::kBFloat16);
}
Tensor f64(const Tensor& t) {
  return t.to(at::kDouble);
}
kernels::Part part(const Tensor& x) {
  return {x.unsqueeze(0), Made::kNothing, {}, {}, 0};
}

// Terms of ranks 32 and 96, and what they add.
struct Terms {
  Terms(int64_t rows, int64_t outputs) {
    for (const int64_t rank : {32, 96}) {
      const Tensor low = bf16({rows, rank}), up = bf16({outputs, rank});
      terms.push_back({kernels::tiled({part(low)}), kernels::right_tiles(up), {}});
      sum = sum + at::mm(f64(low), f64(up).t());
    }
  }
  LowRankTerms terms;
  Tensor sum = at::zeros({1, 1}, at::kDouble);
};

bool has_kernel_that_adds() {
  for (const Int8Kernel& kernel : kernels::int8_kernels())
    if (kernel.adds_low_rank) return true;
  return false;
}

TEST(LowRankTerms, EveryInt8KernelAddsThemBeforeItRounds) {
  if (!has_kernel_that_adds()) GTEST_SKIP() << "this CPU has no AVX-512 BF16";
  for (const auto& [rows, outputs] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {37, 50}, {300, 600}}) {
    const Terms t(rows, outputs);
    const kernels::Int8Rows x = kernels::quantised({part(at::randn({rows, 80}))}, 0);
    const kernels::Int8Weight w =
        kernels::packed(at::randint(-127, 128, {outputs, 80}, at::kChar), at::rand({outputs}));
    const Tensor bias = at::randn({outputs});
    for (const Int8Kernel& kernel : kernels::int8_kernels()) {
      if (!kernel.adds_low_rank) continue;
      const Tensor alone = at::empty({rows, outputs}), both = at::empty({rows, outputs});
      kernel.product(x, w, bias, alone, {});
      kernel.product(x, w, bias, both, t.terms);
      EXPECT_TRUE(golden::close(both, (f64(alone) + t.sum).to(at::kFloat), 1e-6)) << kernel.name;
      const Tensor half = at::empty({rows, outputs}, at::kBFloat16);
      kernel.product(x, w, bias, half, t.terms);
      EXPECT_TRUE(golden::equal(half, both.to(at::kBFloat16))) << kernel.name;
    }
  }
}

TEST(LowRankTerms, ProductsInBf16AddThem) {
  const Tensor weight = bf16({1056, 288}), bias = bf16({1056}), x = bf16({300, 288});
  if (!kernels::multiplies_bf16(weight)) GTEST_SKIP() << "this CPU has no AMX";
  const Terms t(300, 1056);
  const Tensor out = at::empty({300, 1056}, at::kBFloat16);
  kernels::product(kernels::tiled({part(x)}), weight, bias, out, t.terms);
  const Tensor exact = at::mm(f64(x), f64(weight).t()) + f64(bias) + t.sum;
  EXPECT_TRUE(((f64(out) - exact).abs() <= exact.abs() / 256 + 1e-3).all().item<bool>());
}

TEST(LowRankTerms, ProductByRowsIsXTimesTheTransposedWeight) {
  if (!kernels::multiplies_bf16(bf16({32, 32}))) GTEST_SKIP() << "this CPU has no AMX";
  for (const int64_t rows : {1, 33, 300, 5000}) {
    const Tensor x = bf16({rows, 288}), weight = bf16({37, 288});
    const Tensor made =
        kernels::product_by_rows(kernels::tiled({part(x)}), kernels::right_tiles(weight));
    ASSERT_EQ(made.size(1), 64);
    const Tensor exact = at::mm(f64(x), f64(weight).t()).to(at::kFloat);
    EXPECT_TRUE(golden::close(made.narrow(1, 0, 37), exact, 1e-5)) << rows;
  }
}

// Two changes of a matrix [out, in] of a rank that fills no tile.
class ChangesOf : public ::testing::Test {
 protected:
  static constexpr int64_t kIn = 512, kRank = 20;

  // Without a rotation x are whole numbers that 8 bits hold as they are, so that all that differs
  // is the roundings of what is of low rank, and of y.
  void expect_added(const Matrix& matrix, int64_t out, bool rotates) {
    const c10::InferenceMode no_grad;
    const Tensor whole = at::randint(-127, 128, {1, 40, kIn});
    whole.select(-1, 0).fill_(127);
    const Tensor x = rotates ? bf16({1, 40, kIn}) : whole.to(at::kBFloat16);
    if (!matrix.adds_changes(x)) GTEST_SKIP() << "this CPU adds none";
    Tensor wanted = f64(matrix.times(x, {}));
    std::vector<std::unique_ptr<LowRankChange>> made;
    LowRankChanges changes;
    for (const double factor : {1.0, -0.5}) {
      const Tensor down = bf16({kRank, kIn}), up = bf16({out, kRank});
      made.push_back(std::make_unique<LowRankChange>(
          [=] {
            return LowRankFactors{down, up};
          },
          [=](const Tensor& low) { return low * factor; }));
      changes.push_back(made.back().get());
      wanted = wanted + at::matmul(at::matmul(f64(x), f64(down).t()), f64(up).t()) * factor;
    }
    const Tensor y = matrix.times_and_changes(x, {}, changes);
    EXPECT_LT(relative(f64(y), wanted), rotates ? 0.012 : 0.003);
    EXPECT_GT(relative(f64(matrix.times(x, {})), wanted), 0.3);
    EXPECT_TRUE(golden::equal(matrix.times_and_changes(x, {}, changes), y));
  }
};

TEST_F(ChangesOf, Int8) {
  const Tensor weight = at::randn({200, kIn});
  for (const int64_t group : {0, 256})
    expect_added(*int8_matrix(quantised_rows(weight, group)), 200, group > 0);
}

TEST_F(ChangesOf, Int4SomeRowsAtATime) {
  constexpr int64_t kOut = 8240;  // past the first slab
  expect_added(*int4_matrix(quantised_rows_in_4_bits(at::randn({kOut, kIn}), 0)), kOut, false);
}

TEST_F(ChangesOf, Bf16) {
  expect_added(*dense_matrix(bf16({96, kIn})), 96, false);
}

// 40 tokens of which the first 32 have nothing in the middle third: NaNs there change the others.
TEST_F(ChangesOf, WhatNoTokenOfABlockUsesIsNotMultiplied) {
  const c10::InferenceMode no_grad;
  const Tensor down = bf16({96, kIn}), up = bf16({64, 96}), x = bf16({1, 40, kIn});
  const MatrixPtr eight = int8_matrix(quantised_rows(at::randn({64, kIn}), 256));
  for (const MatrixPtr& matrix : {eight, dense_matrix(bf16({64, kIn}))}) {
    if (!matrix->adds_changes(x)) continue;
    const auto product = [&](float middle, bool all_use_it) {
      Tensor own = up.clone();
      own.narrow(1, 32, 32).fill_(middle);
      const auto weigh = [=](const Tensor& low) {
        low.narrow(0, 0, all_use_it ? 0 : 32).narrow(1, 32, 32).mul_(-0.0);
        return low;
      };
      const LowRankChange change([=] { return LowRankFactors{down, own}; }, weigh);
      return matrix->times_and_changes(x, {}, {&change}).select(0, 0);
    };
    const Tensor made = product(NAN, false);
    EXPECT_TRUE(golden::equal(made.narrow(0, 0, 32), product(0, true).narrow(0, 0, 32)));
    EXPECT_TRUE(made.narrow(0, 32, 8).isnan().all().item<bool>());
    EXPECT_TRUE(product(NAN, true).isnan().all().item<bool>());
  }
}

TEST_F(ChangesOf, NothingAtAllIsAddedWhereNoTokenUsesIt) {
  const c10::InferenceMode no_grad;
  const Tensor x = bf16({1, 40, kIn});
  const MatrixPtr matrix = int8_matrix(quantised_rows(at::randn({64, kIn}), 256));
  if (!matrix->adds_changes(x)) GTEST_SKIP() << "this CPU adds none";
  const LowRankFactors factors{bf16({64, kIn}), at::full({64, 64}, NAN)};
  const LowRankChange change([=] { return factors; },
                             [](const Tensor& low) { return at::zeros_like(low); });
  EXPECT_TRUE(golden::equal(matrix->times_and_changes(x, {}, {&change}), matrix->times(x, {})));
}

TEST_F(ChangesOf, NoneAreAddedInF32) {
  const c10::InferenceMode no_grad;
  const Tensor x = at::randn({1, 40, kIn}), weight = at::randn({96, kIn});
  EXPECT_FALSE(int8_matrix(quantised_rows(weight, 256))->adds_changes(x));
  EXPECT_FALSE(dense_matrix(weight)->adds_changes(x));
  EXPECT_FALSE(dense_matrix(weight.to(at::kBFloat16))->adds_changes(x));
}

}  // namespace
}  // namespace icedit
