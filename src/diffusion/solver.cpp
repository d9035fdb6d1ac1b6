#include "diffusion/solver.h"

#include <ATen/ATen.h>

#include <cmath>

#include "diffusion/flow.h"

namespace icedit {
namespace {

double sigma_itself(double sigma) {
  return sigma;
}

// Infinite at both ends: a step from the one or to the other is then of the first order.
double log_signal_to_noise(double sigma) {
  return std::log1p(-sigma) - std::log(sigma);
}

}  // namespace

SolverSteps::SolverSteps(Solver solver, const Tensor& sigmas)
    : solver_(solver), sigmas_(sigmas), sigma_(as_doubles(sigmas)) {}

Tensor SolverSteps::carried_on(int64_t i, const Tensor& now, double (*position)(double sigma)) {
  const Tensor before = before_;
  before_ = now;
  if (!before.defined()) return now;
  const double from = position(sigma_[size_t(i)]);
  const double ahead = position(sigma_[size_t(i + 1)]) - from;
  const double behind = from - position(sigma_[size_t(i - 1)]);
  if (!std::isfinite(ahead) || !std::isfinite(behind)) return now;
  return now + (now - before) * (ahead / behind / 2);
}

Tensor SolverSteps::step(int64_t i, const Tensor& x, const Tensor& v) {
  if (solver_ == Solver::kEuler) return euler_step(x, v, sigmas_[i], sigmas_[i + 1]);
  const double sigma = sigma_[size_t(i)], next = sigma_[size_t(i + 1)];
  const Tensor x32 = x.to(at::kFloat), v32 = v.to(at::kFloat);
  if (solver_ == Solver::kAb2)
    return (x32 + carried_on(i, v32, sigma_itself) * (next - sigma)).to(v.scalar_type());
  const Tensor final_guess = carried_on(i, x32 - v32 * sigma, log_signal_to_noise);
  return (x32 * (next / sigma) + final_guess * (1 - next / sigma)).to(v.scalar_type());
}

}  // namespace icedit
