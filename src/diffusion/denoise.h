#pragma once
// The denoising loop: from noise to latents, along the schedule's sigmas.
#include <functional>

#include "models/flux/transformer.h"

namespace icedit {

struct DenoiseInputs {
  Tensor initial_latents;  // [B, I, 64] in the compute dtype
  Conditioning conditioning;
  Tensor sigmas;  // [steps + 1] f32
  double guidance = 50;
};

// After step i (0-based) with the latents so far, and the guess of the final ones (x - sigma v),
// for previews.
using OnStep = std::function<void(int64_t step, const Tensor& latents, const Tensor& final_guess)>;

// -> [B, I, 64]. `around` is called in place of each block of each step (nn/block.h).
Tensor denoise(const FluxTransformer& model, const DenoiseInputs& in,
               const OnStep& on_step = nullptr, const AroundBlock& around = {});

}  // namespace icedit
