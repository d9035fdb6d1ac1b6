#pragma once
// The denoising loop: from noise to latents, along the schedule's sigmas.
#include <functional>

#include "diffusion/call_control.h"
#include "diffusion/solver.h"
#include "models/flux/transformer.h"

namespace icedit {

struct DenoiseInputs {
  Tensor initial_latents;  // [B, I, 64] in the compute dtype
  Conditioning conditioning;
  Tensor sigmas;  // [steps + 1] f32
  double guidance = 50;
  Solver solver = Solver::kEuler;
  CallLimit limit = {};    // fewer calls of the network than steps; by Euler steps only
  int64_t reuse_left = 1;  // of so many calls, one has the tokens that the mask does not let change
};

struct Denoised {
  Tensor latents;     // [B, I, 64]
  int64_t calls = 0;  // of the network
  double error = 0;   // of CallControl, over the tokens that the mask lets change
};

// After step i (0-based) with the latents so far, and the guess of the final ones (x - sigma v),
// for previews.
using OnStep = std::function<void(int64_t step, const Tensor& latents, const Tensor& final_guess)>;

// `around` is called in place of each block of each step that asks the network (nn/block.h).
Denoised denoise(const FluxTransformer& model, const DenoiseInputs& in,
                 const OnStep& on_step = nullptr, const AroundBlock& around = {});

}  // namespace icedit
