#include "diffusion/denoise.h"

#include <ATen/ATen.h>

#include "diffusion/left_reuse.h"
#include "nn/check.h"

namespace icedit {

namespace {

// [B, I]: the tokens that the packed mask, behind the masked latents, lets change.
Tensor may_change(const Conditioning& c, int64_t latents) {
  const int64_t mask = c.condition.size(2) - latents;
  return c.condition.narrow(2, latents, mask).amax(2) > 0;
}

// Of every step, also of those that may not ask the network: which do is found on the way.
std::vector<Modulations> all_modulations(const FluxTransformer& model, const DenoiseInputs& in,
                                         const AroundBlock& around) {
  const int64_t batch = in.initial_latents.size(0);
  const auto dtype = in.initial_latents.scalar_type();
  Tensors times;
  // Times 1000 and through the model's dtype and back, as diffusers: in bf16 the timestep is
  // rounded on the way.
  for (int64_t i = 0; i + 1 < in.sigmas.size(0); ++i)
    times.push_back((in.sigmas[i] * 1000).expand({batch}).to(dtype) / 1000);
  const auto f32 = in.initial_latents.options().dtype(at::kFloat);
  return model.modulations(times, at::full({batch}, in.guidance, f32),
                           in.conditioning.pooled_prompt_embeds, around);
}

}  // namespace

Denoised denoise(const FluxTransformer& model, const DenoiseInputs& in, const OnStep& on_step,
                 const AroundBlock& around) {
  check_shape("initial_latents", in.initial_latents, {-1, -1, model.config().out_channels});
  check_shape("sigmas", in.sigmas, {-1});
  const std::vector<Modulations> modulations = all_modulations(model, in, around);
  Tensor x = in.initial_latents;
  const bool by_token = in.limit.any() || in.reuse_left > 1;
  const Tensor changes = by_token ? may_change(in.conditioning, x.size(2)) : Tensor();
  CallControl control(in.sigmas, in.limit, changes);
  LeftReuse reuse(in.reuse_left, changes);
  SolverSteps solver(in.solver, in.sigmas);
  for (int64_t i = 0; i + 1 < in.sigmas.size(0); ++i) {
    Tensor v;
    if (!control.asks(i)) {
      v = control.forecast(i);
    } else {
      v = reuse.velocity(model, x, in.conditioning, modulations[size_t(i)], around);
      const Tensor correction = control.take(i, v);
      if (correction.defined()) x = (x.to(at::kFloat) + correction).to(x.scalar_type());
    }
    const Tensor next = solver.step(i, x, v);
    if (on_step) on_step(i, next, x - in.sigmas[i] * v);
    x = next;
  }
  return {x, control.calls(), control.error()};
}

}  // namespace icedit
