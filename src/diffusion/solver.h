#pragma once
// From one sigma to the next. All solve dx / dsigma = v(x, sigma) and differ in what they take v
// for between two sigmas.
#include <cstdint>
#include <vector>

#include "base/tensor.h"

namespace icedit {

enum class Solver {
  kEuler,    // v stays: FLUX's own, diffusers' FlowMatchEulerDiscreteScheduler
  kAb2,      // Adams and Bashforth's second order: v goes on as the line through this and the last
  kDpmpp2m,  // DPM-Solver++ (2M), midpoint: so does the guess of the final latents, x - sigma v, in
             // log((1 - sigma) / sigma); diffusers' DPMSolverMultistepScheduler with flow sigmas
};

class SolverSteps {
 public:
  // sigmas [steps + 1] f32, falling, in 0 ... 1.
  SolverSteps(Solver solver, const Tensor& sigmas);

  // x at sigma i and v there; returns x at sigma i + 1, in v's dtype. i: 0, 1, ... in turn.
  Tensor step(int64_t i, const Tensor& x, const Tensor& v);

 private:
  // Of the second order, what `now` is between i and i + 1 on average, if it changes from step to
  // step as `position` does; `now` itself in the first step.
  Tensor carried_on(int64_t i, const Tensor& now, double (*position)(double sigma));

  Solver solver_;
  Tensor sigmas_;
  std::vector<double> sigma_;
  Tensor before_;  // f32: what `now` was in the step before
};

}  // namespace icedit
