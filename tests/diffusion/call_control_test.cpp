#include "diffusion/call_control.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>

#include "diffusion/flow.h"

namespace icedit {
namespace {

// As FLUX's: denser where there is more noise.
Tensor sigmas(int64_t steps) {
  const Tensor even = at::linspace(1, 1.0 / double(steps), steps, at::kFloat);
  return at::cat({2 * even / (1 + even), at::zeros({1})});
}

Tensor everywhere() {
  return at::ones({1, 6}, at::kBool);
}

struct Path {
  Tensor x;
  std::vector<int64_t> asked;
  double error = 0;
};

// The loop of diffusion/denoise.cpp along a velocity that is known. From latents 0.
Path follow(const Tensor& sigmas, const CallLimit& limit,
            const std::function<Tensor(const Tensor& x, double sigma)>& velocity,
            const Tensor& where = everywhere()) {
  CallControl control(sigmas, limit, where);
  Path path{at::zeros({1, 6, 4}), {}};
  for (int64_t i = 0; i + 1 < sigmas.size(0); ++i) {
    Tensor v;
    if (control.asks(i)) {
      path.asked.push_back(i);
      v = velocity(path.x, sigmas[i].item<double>());
      const Tensor correction = control.take(i, v);
      if (correction.defined()) path.x = path.x + correction;
    } else {
      v = control.forecast(i);
    }
    path.x = euler_step(path.x, v, sigmas[i], sigmas[i + 1]);
  }
  EXPECT_EQ(control.calls(), int64_t(path.asked.size()));
  path.error = control.error();
  return path;
}

double rms(const Tensor& x) {
  return x.square().mean().sqrt().item<double>();
}

Tensor direction() {
  return at::linspace(-1, 1, 24).reshape({1, 6, 4});
}

// a + b sigma + c sigma^2, each another multiple of a direction.
std::function<Tensor(const Tensor&, double)> polynomial(double a, double b, double c) {
  return [=](const Tensor&, double s) { return direction() * (a + b * s) + c * s * s; };
}

TEST(CallControl, WithoutALimitEveryStepAsksAndNothingIsKept) {
  const Path path = follow(sigmas(28), {}, polynomial(1, 2, 3));
  EXPECT_EQ(path.asked.size(), 28u);
  EXPECT_EQ(path.error, 0);
}

TEST(CallControl, LinearInSigmaIsExact) {
  const Tensor exact = follow(sigmas(28), {}, polynomial(1, -3, 0)).x;
  for (const int64_t calls : {3, 5, 11, 16, 27}) {
    const Path path = follow(sigmas(28), {calls, {}}, polynomial(1, -3, 0));
    EXPECT_LE(rms(path.x - exact), 2e-6) << calls;  // also the first gap, once the second is known
    EXPECT_EQ(int64_t(path.asked.size()), calls);
  }
}

TEST(CallControl, ConstantVelocityNeedsTwoCallsAndHasNoError) {
  const Path path = follow(sigmas(28), {2, {}}, polynomial(1, 0, 0));
  EXPECT_EQ(path.asked, (std::vector<int64_t>{0, 27}));
  EXPECT_LE(path.error, 1e-6);
  EXPECT_LE(rms(path.x - follow(sigmas(28), {}, polynomial(1, 0, 0)).x), 2e-6);
}

TEST(CallControl, QuadraticInSigmaIsMadeGoodOnceThreeAreKnown) {
  // Asks at 1, 0.8, 0.6, 0.4 and 0.2, so that the first gap skips nothing.
  const Tensor s = at::tensor({1., .8, .75, .6, .55, .4, .35, .2, 0.}, at::kFloat);
  const Path path = follow(s, {5, {}}, polynomial(1, 2, 4));
  EXPECT_EQ(path.asked, (std::vector<int64_t>{0, 1, 3, 5, 7}));
  EXPECT_LE(rms(path.x - follow(s, {}, polynomial(1, 2, 4)).x), 1e-6);
  EXPECT_GT(path.error, 1e-3);  // the line alone was wrong
}

TEST(CallControl, SpacingIsEvenInSigmaAndTheEndsAlwaysAsk) {
  const Tensor s = sigmas(28);
  const Path path = follow(s, {8, {}}, polynomial(1, 1, 1));
  ASSERT_EQ(path.asked.size(), 8u);
  EXPECT_EQ(path.asked.front(), 0);
  EXPECT_EQ(path.asked.back(), 27);
  const double even = (s[0] - s[27]).item<double>() / 7;
  for (size_t k = 1; k < path.asked.size(); ++k) {
    const double gap = (s[path.asked[k - 1]] - s[path.asked[k]]).item<double>();
    EXPECT_NEAR(gap, even, even / 2);
  }
  // As many as there are steps: every one.
  EXPECT_EQ(follow(s, {28, {}}, polynomial(1, 1, 1)).asked.size(), 28u);
}

TEST(CallControl, ATighterBoundAsksMoreAndEndsNearer) {
  const auto velocity = [](const Tensor& x, double s) {
    return direction() * std::sin(6 * s) - 0.5 * x;
  };
  const Tensor s = sigmas(28);
  const Tensor exact = follow(s, {}, velocity).x;
  size_t calls_before = 0;
  for (const double bound : {0.3, 0.1, 0.03, 0.015}) {
    const Path path = follow(s, {{}, bound}, velocity);
    EXPECT_LE(path.error, bound);
    EXPECT_LE(rms(path.x - exact), bound) << bound;
    EXPECT_GE(path.asked.size(), calls_before);
    calls_before = path.asked.size();
  }
  EXPECT_LT(follow(s, {{}, 0.3}, velocity).asked.size(), 14u);
  EXPECT_GT(calls_before, 16u);
}

TEST(CallControl, ARoughVelocityAsksMoreNotWorse) {
  const auto smooth = polynomial(1, 2, 1);
  const auto rough = [&](const Tensor& x, double s) {
    return smooth(x, s) + 0.5 * direction() * std::sin(300 * s);
  };
  const Tensor s = sigmas(28);
  const double bound = 0.05;
  const Path easy = follow(s, {{}, bound}, smooth), hard = follow(s, {{}, bound}, rough);
  EXPECT_GT(hard.asked.size(), easy.asked.size() + 8);
  EXPECT_LE(rms(hard.x - follow(s, {}, rough).x), bound);
}

TEST(CallControl, OnlyWhatMayChangeCounts) {
  Tensor left = everywhere();
  left.narrow(1, 3, 3).fill_(false);
  const auto only_right_moves = [](const Tensor&, double s) {
    Tensor v = at::zeros({1, 6, 4});
    v.narrow(1, 3, 3).fill_(s * s);
    return v;
  };
  EXPECT_EQ(follow(sigmas(28), {8, {}}, only_right_moves, left).error, 0);
  EXPECT_GT(follow(sigmas(28), {8, {}}, only_right_moves).error, 0);
  // Nothing may change: nothing counts.
  EXPECT_EQ(follow(sigmas(28), {8, {}}, only_right_moves, at::zeros_like(left)).error, 0);
}

TEST(CallControl, OfFewStepsNoneIsLeftOut) {
  for (const int64_t steps : {1, 2, 3}) {
    const Path path = follow(sigmas(steps), {{}, 100.0}, polynomial(1, 1, 1));
    EXPECT_EQ(int64_t(path.asked.size()), steps);
  }
}

TEST(CallControl, Faults) {
  EXPECT_EQ(call_limit_fault({}, 28), "");
  EXPECT_EQ(call_limit_fault({2, {}}, 28), "");
  EXPECT_EQ(call_limit_fault({28, {}}, 28), "");
  EXPECT_EQ(call_limit_fault({1, {}}, 1), "");
  const std::string why =
      ", the number of steps; the first and the last step always ask the network";
  EXPECT_EQ(call_limit_fault({1, {}}, 28), " is 1, expected a whole number from 2 to 28" + why);
  EXPECT_EQ(call_limit_fault({29, {}}, 28), " is 29, expected a whole number from 2 to 28" + why);
  EXPECT_EQ(call_limit_fault({2, {}}, 1), " is 2, expected 1" + why);
}

}  // namespace
}  // namespace icedit
