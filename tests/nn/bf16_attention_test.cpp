#include "nn/bf16_attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace icedit {
namespace {

struct Shape {
  int64_t batch, heads, length, width;
};

void PrintTo(const Shape& s, std::ostream* out) {
  *out << "[" << s.batch << ", " << s.heads << ", " << s.length << ", " << s.width << "]";
}

double deviation(const Tensor& got, const Tensor& wanted) {
  return ((got.to(at::kDouble) - wanted).norm() / wanted.norm()).item<double>();
}

// Tiles are of 64 and 512: lengths below, at, and past them.
class BF16Attention : public ::testing::TestWithParam<Shape> {
 protected:
  void SetUp() override {
    at::manual_seed(1);
    for (Tensor* t : {&q_, &k_, &v_, &grad_}) *t = random();
    if (!fits_bf16_attention(q_, k_, v_)) GTEST_SKIP() << "this CPU has no AVX-512 BF16";
  }

  Tensor random() const {
    const Shape s = GetParam();
    return at::randn({s.batch, s.length, s.heads, s.width}).to(at::kBFloat16).transpose(1, 2);
  }

  Tensor q_, k_, v_, grad_;
};

double scale_of(const Shape& s) {
  return 1.3 / std::sqrt(double(s.width));
}

void expect_near(const Tensor& ours, const Tensor& theirs, const Tensor& exact) {
  EXPECT_LE(deviation(ours, exact), 1.2 * deviation(theirs, exact));
  EXPECT_LT(deviation(ours, exact), 0.01);
}

// Both are held to f64, and to what libtorch's own bf16 attention deviates from it.
TEST_P(BF16Attention, IsAsExactAsLibtorchs) {
  const double scale = scale_of(GetParam());
  // Larger scores cannot be told to be small by the lengths of q and k.
  for (const double factor : {1.0, 7.0}) {
    const Tensor q = q_ * factor;
    const Attended got = bf16_attention(q, k_, v_, scale);
    const auto [out, log_sum] =
        at::_scaled_dot_product_flash_attention_for_cpu(q, k_, v_, 0.0, false, {}, scale);
    const Tensor scores = at::matmul(q.to(at::kDouble), k_.to(at::kDouble).transpose(2, 3)) * scale;
    EXPECT_TRUE(at::allclose(got.log_sum.to(at::kDouble), at::logsumexp(scores, -1), 1e-5, 1e-5));
    expect_near(got.out, out, at::matmul(at::softmax(scores, -1), v_.to(at::kDouble)));
  }
}

TEST_P(BF16Attention, TakesFewerQueriesThanKeys) {
  const int64_t some = GetParam().length / 2;
  const Attended all = bf16_attention(q_, k_, v_, scale_of(GetParam()));
  const Attended part = bf16_attention(q_.narrow(2, 0, some), k_, v_, scale_of(GetParam()));
  EXPECT_TRUE(at::equal(part.out, all.out.narrow(2, 0, some)));
  EXPECT_TRUE(at::equal(part.log_sum, all.log_sum.narrow(2, 0, some)));
}

TEST_P(BF16Attention, HasGradientsAsExactAsLibtorchs) {
  const double scale = scale_of(GetParam());
  const AttentionGradients back =
      bf16_attention_backward(grad_, q_, k_, v_, bf16_attention(q_, k_, v_, scale), scale);
  const auto [out, log_sum] =
      at::_scaled_dot_product_flash_attention_for_cpu(q_, k_, v_, 0.0, false, {}, scale);
  const auto [theirs_q, theirs_k, theirs_v] =
      at::_scaled_dot_product_flash_attention_for_cpu_backward(grad_, q_, k_, v_, out, log_sum, 0.0,
                                                               false, {}, scale);
  const Tensor q = q_.to(at::kDouble), k = k_.to(at::kDouble), v = v_.to(at::kDouble);
  const Tensor grad = grad_.to(at::kDouble);
  const Tensor p = at::softmax(at::matmul(q, k.transpose(2, 3)) * scale, -1);
  const Tensor wanted = at::matmul(p, v), grad_p = at::matmul(grad, v.transpose(2, 3));
  const Tensor grad_scores = p * (grad_p - (grad * wanted).sum(-1, true)) * scale;
  expect_near(back.v, theirs_v, at::matmul(p.transpose(2, 3), grad));
  expect_near(back.k, theirs_k, at::matmul(grad_scores.transpose(2, 3), q));
  expect_near(back.q, theirs_q, at::matmul(grad_scores, k));
}

INSTANTIATE_TEST_SUITE_P(Shapes, BF16Attention,
                         ::testing::Values(Shape{1, 1, 2, 32}, Shape{2, 3, 62, 64},
                                           Shape{1, 2, 130, 96}, Shape{1, 3, 578, 128},
                                           Shape{2, 2, 33, 64}, Shape{1, 1, 801, 32},
                                           Shape{1, 1, 1024, 512}));

class BF16AttentionScores : public BF16Attention {};

// Probabilities of 0 and 1, and a NaN that stays in its query's row.
TEST_P(BF16AttentionScores, MayBeExtreme) {
  q_.select(2, 3).fill_(std::nan(""));
  const Tensor got = bf16_attention(q_, k_, v_, 1e5).out.to(at::kFloat);
  EXPECT_TRUE(got.select(2, 3).isnan().all().item<bool>());
  const Tensor scores = at::matmul(q_.to(at::kFloat), k_.to(at::kFloat).transpose(2, 3));
  const Tensor others = at::cat({got.narrow(2, 0, 3), got.narrow(2, 4, 60)}, 2);
  const Tensor best = at::gather(v_.to(at::kFloat), 2,
                                 scores.argmax(-1, true).expand({-1, -1, -1, GetParam().width}));
  EXPECT_LT((others - at::cat({best.narrow(2, 0, 3), best.narrow(2, 4, 60)}, 2))
                .abs()
                .max()
                .item<float>(),
            0.02F);
}

INSTANTIATE_TEST_SUITE_P(Shapes, BF16AttentionScores, ::testing::Values(Shape{1, 2, 64, 64}));

}  // namespace
}  // namespace icedit
