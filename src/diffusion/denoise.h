#pragma once
// The denoising loop: from noise to latents, along the schedule's sigmas.
#include <functional>

#include "models/flux/transformer.h"

namespace icedit {

// What stays the same over all steps. B batch, I image tokens, T text tokens; in the compute dtype,
// ids and sigmas in f32.
struct DenoiseInputs {
  Tensor initial_latents;       // [B, I, 64]
  Tensor condition;             // [B, I, 320]: masked-image latents, then the packed mask
  Tensor prompt_embeds;         // [B, T, C_t5]
  Tensor pooled_prompt_embeds;  // [B, C_clip]
  Tensor image_ids, text_ids;   // [I, 3], [T, 3]
  Tensor sigmas;                // [steps + 1]
  double guidance = 50;
};

// After step i (0-based) with the latents so far, and the guess of the final ones (x - sigma v),
// for previews.
using OnStep = std::function<void(int64_t step, const Tensor& latents, const Tensor& final_guess)>;

// -> [B, I, 64]. Throws Interrupted between two steps after Ctrl+C.
Tensor denoise(const FluxTransformer& model, const DenoiseInputs& in,
               const OnStep& on_step = nullptr);

}  // namespace icedit
