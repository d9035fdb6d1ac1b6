#include "diffusion/denoise.h"

#include <ATen/ATen.h>

#include "diffusion/flow.h"
#include "nn/check.h"

namespace icedit {

Tensor denoise(const FluxTransformer& model, const DenoiseInputs& in, const OnStep& on_step,
               const AroundBlock& around) {
  check_shape("initial_latents", in.initial_latents, {-1, -1, model.config().out_channels});
  check_shape("sigmas", in.sigmas, {-1});
  const int64_t batch = in.initial_latents.size(0);
  const auto dtype = in.initial_latents.scalar_type();
  const Tensor guidance = at::full({batch}, in.guidance, at::kFloat);
  Tensor x = in.initial_latents;
  for (int64_t i = 0; i + 1 < in.sigmas.size(0); ++i) {
    const Tensor sigma = in.sigmas[i], sigma_next = in.sigmas[i + 1];
    // Times 1000 and through the model's dtype and back, as diffusers: in bf16 the timestep is
    // rounded on the way.
    const Tensor t = (sigma * 1000).expand({batch}).to(dtype) / 1000;
    const Tensor v = model.forward(x, in.conditioning, t, guidance, around);
    const Tensor next = euler_step(x, v, sigma, sigma_next);
    if (on_step) on_step(i, next, x - sigma * v);
    x = next;
  }
  return x;
}

}  // namespace icedit
