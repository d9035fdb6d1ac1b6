#include "nn/kernels/kernels.h"

#include <gtest/gtest.h>

#include "golden.h"
#include "nn/kernels/int8_product.h"

namespace icedit::kernels {
namespace {

constexpr double kRounding = 2e-6;

// Kronecker powers of the regular Hadamard matrix of size 4.
Tensor hadamard(int64_t group) {
  const Tensor four = (at::ones({4, 4}) - 2 * at::eye(4).flip(1)) / 2;
  Tensor made = at::ones({1, 1});
  while (made.size(0) < group) made = at::kron(made, four);
  return made;
}

Tensor rotated(const Tensor& x, int64_t group) {
  if (group == 0) return x;
  return at::matmul(x.unflatten(-1, {-1, group}), hadamard(group)).flatten(-2);
}

// What Int8Rows holds, as [rows, columns] of whole numbers.
Tensor values_of(const Int8Rows& x) {
  const int64_t across = (x.columns + 63) / 64;
  return x.tiles.to(at::kInt)
      .sub(128)
      .view({-1, across, 16, 64})
      .transpose(1, 2)
      .reshape({-1, across * 64})
      .narrow(0, 0, x.rows)
      .narrow(1, 0, x.columns)
      .to(at::kFloat);
}

class Rows : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  Tensor random(at::IntArrayRef shape) const { return at::randn(shape).to(GetParam()); }
  // Of one rounding to the dtype.
  double rounding() const { return GetParam() == at::kFloat ? kRounding : 4e-3; }
  // Of what is made of bf16 before it is rounded: GELU's formula is a short one.
  double rounding_within() const { return GetParam() == at::kFloat ? kRounding : 2e-5; }
  Tensor f32(const Tensor& x) const { return x.to(at::kFloat); }

  Tensor x_ = random({2, 5, 256}), y_ = random({2, 5, 1024}), shift_ = random({2, 1, 256}),
         scale_ = random({2, 1, 256});
  std::vector<Part> parts_ = {
      {x_, Made::kNothing, {}, {}, 0},
      {y_, Made::kGeluTanh, {}, {}, 0},
      {x_, Made::kModulatedNorm, shift_, scale_, 1e-6},
  };
  Tensor plain_ =
      at::cat({f32(x_), at::gelu(f32(y_), "tanh"),
               at::layer_norm(f32(x_), {256}, {}, {}, 1e-6) * (1 + f32(scale_)) + f32(shift_)},
              2);
};

TEST_P(Rows, AreThePlainFormulasSideBySide) {
  const Tensor made = joined(parts_);
  EXPECT_EQ(made.scalar_type(), GetParam());
  EXPECT_TRUE(golden::close(f32(made), plain_, rounding()));
}

TEST_P(Rows, ArePartsOfLargerTensors) {
  const Tensor large = random({2, 9, 512});
  const Tensor some = large.narrow(1, 2, 5).narrow(2, 256, 256);
  EXPECT_TRUE(golden::equal(joined({{some, Made::kNothing, {}, {}, 0}}), some));
}

TEST_P(Rows, LieInTilesAsTheyAreJoined) {
  const Bf16Rows made = tiled(parts_);
  ASSERT_EQ(made.rows, 10);
  ASSERT_EQ(made.columns, 256 + 1024 + 256);
  const Tensor rows = made.tiles.view({2, -1, 16, 32}).transpose(1, 2).reshape({32, -1});
  const Tensor wanted = joined(parts_).flatten(0, 1).to(at::kBFloat16);
  EXPECT_TRUE(golden::equal(rows.narrow(0, 0, 10), wanted));
  EXPECT_TRUE(golden::equal(rows.narrow(0, 10, 22), at::zeros_like(rows.narrow(0, 10, 22))));
}

TEST_P(Rows, AreQuantisedToTheGridOfTheirLargest) {
  for (const int64_t group : {0, 16, 64, 256}) {
    const Int8Rows made = quantised(parts_, group);
    const Tensor wanted = rotated(plain_, group).flatten(0, 1);
    const Tensor scales = std::get<0>(wanted.abs().max(1)) / 127;
    EXPECT_TRUE(golden::close(made.scales.narrow(0, 0, made.rows), scales, rounding_within()));
    const Tensor off = (values_of(made) - wanted / scales.unsqueeze(1)).abs();
    EXPECT_LE(off.max().item<float>(), 0.5 + 500 * rounding_within());
    EXPECT_EQ(values_of(made).abs().max().item<float>(), 127);
  }
}

// Parts that end within a run of columns and within a group, and a group larger than a run.
TEST(QuantisedRows, AreThoseOfTheJoinedTensor) {
  const auto random = [](int64_t width) { return at::randn({2, 3, width}); };
  const Tensor shift = at::randn({2, 1, 576}), scale = at::randn({2, 1, 576});
  const std::vector<Part> parts = {{random(48), Made::kNothing, {}, {}, 0},
                                   {random(400), Made::kGeluTanh, {}, {}, 0},
                                   {random(576), Made::kModulatedNorm, shift, scale, 1e-6}};
  const Tensor whole = joined(parts);
  for (const int64_t group : {0, 16, 64, 256, 1024}) {
    const Int8Rows made = quantised(parts, group),
                   wanted = quantised({{whole, Made::kNothing, {}, {}, 0}}, group);
    EXPECT_TRUE(golden::equal(made.scales, wanted.scales)) << group;
    EXPECT_TRUE(golden::equal(made.tiles, wanted.tiles)) << group;
    const Tensor exact = rotated(whole, group).flatten(0, 1);
    const Tensor off = values_of(made) * made.scales.narrow(0, 0, 6).unsqueeze(1) - exact;
    EXPECT_LE((off.abs() / made.scales.narrow(0, 0, 6).unsqueeze(1)).max().item<float>(), 0.501);
  }
}

TEST_P(Rows, OfZerosAreZero) {
  const Int8Rows made =
      quantised({{at::zeros({1, 3, 64}, GetParam()), Made::kNothing, {}, {}, 0}}, 64);
  EXPECT_EQ(values_of(made).abs().max().item<float>(), 0);
  EXPECT_EQ(made.scales.abs().max().item<float>(), 0);
}

TEST_P(Rows, OfANaNHaveAScaleThatIsOne) {
  for (const float bad : {NAN, INFINITY}) {
    Tensor x = at::ones({1, 2, 64}, GetParam());
    x.index_put_({at::tensor(0), at::tensor(1), at::tensor(7)}, at::tensor(bad).to(GetParam()));
    const Int8Rows made = quantised({{x, Made::kNothing, {}, {}, 0}}, 64);
    EXPECT_TRUE(std::isfinite(made.scales[0].item<float>()));
    EXPECT_FALSE(std::isfinite(made.scales[1].item<float>()));
  }
}

TEST_P(Rows, HeadsAreNormalisedAndTurned) {
  const int64_t heads = 3, width = 32;
  const Tensor x = random({2, 5, heads, width}), weight = random({width});
  const Tensor cos = at::randn({5, width}), sin = at::randn({5, width});
  const Tensor normed = at::rms_norm(f32(x), {width}, f32(weight), 1e-6);
  const Tensor pairs = normed.unflatten(-1, {-1, 2});
  const Tensor turned = at::stack({-pairs.select(-1, 1), pairs.select(-1, 0)}, -1).flatten(-2);
  const Tensor wanted = normed * cos.unsqueeze(1) + turned * sin.unsqueeze(1);
  normalise_and_turn(x, weight, 1e-6, cos, sin, x);
  EXPECT_TRUE(golden::close(f32(x), wanted, rounding()));
}

// Half a last place of bf16, and what its short formula leaves.
TEST(GeluOfBf16, IsTheFormulaToItsRounding) {
  constexpr int kCount = 17920;  // those below 2^13, of either sign
  const Tensor bits =
      at::cat({at::arange(kCount, at::kInt), at::arange(-(1 << 15), kCount - (1 << 15), at::kInt)});
  const Tensor x = bits.to(at::kShort).view(at::kBFloat16);
  const Tensor exact = at::gelu(x.to(at::kDouble), "tanh");
  const Tensor made = joined({{x.view({1, 1, -1}), Made::kGeluTanh, {}, {}, 0}}).flatten();
  const Tensor off = (made.to(at::kDouble) - exact).abs();
  EXPECT_TRUE(off.le(exact.abs() / 256 + 4e-5 * x.abs().clamp_min(4) / 4).all().item<bool>())
      << off.max();
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Rows, ::testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return at::toString(info.param); });

TEST(Rotation, IsItsOwnInverse) {
  const Tensor x = at::randn({1, 512});
  for (const int64_t group : {16, 64, 256}) {
    Tensor y = x.clone();
    rotate(y.mutable_data_ptr<float>(), 512, group);
    EXPECT_TRUE(golden::close(y, rotated(x, group), kRounding));
    rotate(y.mutable_data_ptr<float>(), 512, group);
    EXPECT_TRUE(golden::close(y, x, kRounding));
  }
}

TEST(Int8Product, IsExactWithEveryKernel) {
  for (const auto& [rows, in, out] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{
           {1, 16, 1}, {37, 80, 50}, {300, 1280, 600}, {64, 256, 256}}) {
    const Tensor x = at::randn({1, rows, in}), bias = at::randn({out});
    const Int8Rows quantised_x = quantised({{x, Made::kNothing, {}, {}, 0}}, 0);
    const Tensor values = at::randint(-127, 128, {out, in}, at::kChar), scales = at::rand({out});
    const Int8Weight w = packed(values, scales);
    const Tensor sums = at::mm(values_of(quantised_x).to(at::kDouble), values.to(at::kDouble).t());
    const Tensor wanted =
        (sums * quantised_x.scales.narrow(0, 0, rows).unsqueeze(1) * scales + bias).to(at::kFloat);
    for (const Int8Kernel& kernel : int8_kernels()) {
      const Tensor wide = at::full({rows, out + 7}, 5.0F);
      kernel.product(quantised_x, w, bias, wide.narrow(1, 3, out), {});
      EXPECT_TRUE(golden::close(wide.narrow(1, 3, out), wanted, kRounding)) << kernel.name;
      EXPECT_TRUE(wide.narrow(1, 0, 3).eq(5).all().item<bool>()) << kernel.name;
      EXPECT_TRUE(wide.narrow(1, out + 3, 4).eq(5).all().item<bool>()) << kernel.name;
      const Tensor half = at::empty({rows, out}, at::kBFloat16);
      kernel.product(quantised_x, w, bias, half, {});
      EXPECT_TRUE(golden::close(half.to(at::kFloat), wanted, 4e-3)) << kernel.name;
    }
  }
}

TEST(Int8Weight, IsUnpackedAsItWas) {
  const Tensor values = at::randint(-127, 128, {50, 80}, at::kChar), scales = at::rand({50});
  const Int8Weight w = packed(values, scales);
  const Tensor wanted = values.to(at::kFloat) * scales.unsqueeze(1);
  EXPECT_TRUE(golden::equal(unpacked(w, 0, 50, 0, at::kFloat), wanted));
  const Tensor some = wanted.narrow(0, 17, 20).clone();
  EXPECT_TRUE(golden::equal(unpacked(w, 17, 20, 0, at::kFloat), some));
  auto* rows = some.mutable_data_ptr<float>();
  for (int64_t i = 0; i < 20; ++i) rotate(rows + i * 80, 80, 16);
  EXPECT_TRUE(golden::equal(unpacked(w, 17, 20, 16, at::kFloat), some));
  EXPECT_TRUE(golden::equal(unpacked(w, 17, 20, 16, at::kBFloat16), some.to(at::kBFloat16)));
}

}  // namespace
}  // namespace icedit::kernels
