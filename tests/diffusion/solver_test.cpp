#include "diffusion/solver.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "diffusion/flow.h"
#include "golden.h"

namespace icedit {
namespace {

double largest_difference(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// dx / dsigma = -x sin(4 sigma), from x = 1 at sigma = 0.9 to 0.1: how far x ends from the truth.
double error_of(Solver solver, int64_t steps) {
  const Tensor sigmas = at::linspace(0.9, 0.1, steps + 1, at::kDouble);
  SolverSteps solver_steps(solver, sigmas);
  Tensor x = at::ones({1}, at::kFloat);
  for (int64_t i = 0; i < steps; ++i)
    x = solver_steps.step(i, x, -x * std::sin(4 * sigmas[i].item<double>()));
  return std::abs(x.item<double>() - std::exp((std::cos(0.4) - std::cos(3.6)) / 4));
}

TEST(Solver, DpmSolverIsDiffusers) {
  const auto golden = golden::load("scheduler/dpmpp_2m.safetensors");
  for (const std::string run : {"1024x1", "2048x8"}) {
    const Tensor sigmas = golden::get(golden, run + ".sigmas");
    SolverSteps solver(Solver::kDpmpp2m, sigmas);
    Tensor x = golden::get(golden, run + ".sample.0");
    for (int64_t i = 0; i + 1 < sigmas.size(0); ++i) {
      x = solver.step(i, x, golden::get(golden, str(run, ".model_output.", i)));
      const Tensor want = golden::get(golden, str(run, ".sample.", i + 1));
      EXPECT_LE(largest_difference(x, want), 2e-6 * want.abs().max().item<double>())
          << run << " " << i;
    }
  }
}

TEST(Solver, EulerIsTheFlowsOwnStep) {
  const Tensor sigmas = at::tensor({1.0, 0.7, 0.2, 0.0}, at::kFloat);
  SolverSteps solver(Solver::kEuler, sigmas);
  const Tensor x = at::randn({2, 3}).to(at::kBFloat16), v = at::randn({2, 3}).to(at::kBFloat16);
  for (int64_t i = 0; i < 3; ++i)
    EXPECT_TRUE(at::equal(solver.step(i, x, v), euler_step(x, v, sigmas[i], sigmas[i + 1])));
}

TEST(Solver, SecondOrderEndsFourTimesNearerWithTwiceTheSteps) {
  EXPECT_NEAR(error_of(Solver::kEuler, 40) / error_of(Solver::kEuler, 80), 2, 0.3);
  for (const Solver solver : {Solver::kAb2, Solver::kDpmpp2m}) {
    EXPECT_NEAR(error_of(solver, 40) / error_of(solver, 80), 4, 1.2) << int(solver);
    EXPECT_LT(error_of(solver, 40), error_of(Solver::kEuler, 40) / 5) << int(solver);
  }
}

TEST(Solver, Ab2IsExactOfAVelocityThatIsALineInSigma) {
  const Tensor sigmas = at::tensor({1.0, 0.8, 0.5, 0.4, 0.0}, at::kFloat);
  SolverSteps solver(Solver::kAb2, sigmas);
  Tensor x = at::zeros({1});
  for (int64_t i = 0; i < 4; ++i) {
    x = solver.step(i, x, 2 * sigmas[i].reshape({1}));
    // The first step takes the velocity as it is: 2 * 1 * 0.2 in place of 1 - 0.8^2.
    EXPECT_NEAR(x.item<double>(), std::pow(sigmas[i + 1].item<double>(), 2) - 1 - 0.04, 1e-6);
  }
}

TEST(Solver, KeepsTheDtypeOfTheVelocity) {
  const Tensor sigmas = at::tensor({1.0, 0.5, 0.0}, at::kFloat);
  for (const Solver kind : {Solver::kEuler, Solver::kAb2, Solver::kDpmpp2m}) {
    SolverSteps solver(kind, sigmas);
    const Tensor x = at::ones({2}, at::kBFloat16);
    for (int64_t i = 0; i < 2; ++i)
      EXPECT_EQ(solver.step(i, x, x).scalar_type(), at::kBFloat16) << int(kind);
  }
}

}  // namespace
}  // namespace icedit
