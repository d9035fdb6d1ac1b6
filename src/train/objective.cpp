#include "train/objective.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "base/error.h"
#include "diffusion/flow.h"
#include "diffusion/schedule.h"

namespace icedit {
namespace {

constexpr double kTrainingGuidance = 1.0;
constexpr double kOffsetNoise = 0.1;
constexpr double kModeScale = 1.29;

bool is_normal(TimestepSampling sampling) {
  return sampling == TimestepSampling::kLogitNormal || sampling == TimestepSampling::kFluxShift;
}

// The mean of the squares over the tokens with any pixel that may change.
Tensor mean_under_mask(const Tensor& squares, const Tensor& condition) {
  const int64_t latents = squares.size(2);
  const Tensor mask = condition.narrow(2, latents, condition.size(2) - latents);
  const Tensor counted = mask.amax(-1, true).gt(0).to(squares.scalar_type());  // [B, I, 1]
  return (squares * counted).sum() / (counted.sum() * double(latents));
}

}  // namespace

TimestepSampling timestep_sampling(const std::string& name) {
  if (name == "logit_normal") return TimestepSampling::kLogitNormal;
  if (name == "uniform") return TimestepSampling::kUniform;
  if (name == "flux_shift") return TimestepSampling::kFluxShift;
  if (name == "mode") return TimestepSampling::kMode;
  throw UsageError(str("train.timestep_sampling is '", name,
                       "', expected logit_normal, uniform, flux_shift or mode"));
}

StepDraws draw_step(at::Generator& generator, const Shape& latents,
                    const ObjectiveOptions& options) {
  const int64_t batch = latents.at(0), channels = 4 * latents.at(1);
  const int64_t tokens = latents.at(2) / 2 * (latents.at(3) / 2);
  StepDraws draws;
  draws.image_noise = at::randn(latents, generator, at::kFloat);
  draws.masked_noise = at::randn(latents, generator, at::kFloat);
  draws.t_draw = is_normal(options.timesteps) ? at::randn({batch}, generator, at::kFloat)
                                              : at::rand({batch}, generator, at::kFloat);
  draws.x_1 = at::randn({batch, tokens, channels}, generator, at::kFloat);
  if (options.use_offset_noise)
    draws.x_1 = draws.x_1 + kOffsetNoise * at::randn({batch, 1, channels}, generator, at::kFloat);
  return draws;
}

Tensor timesteps_of(const Tensor& draw, int64_t tokens, TimestepSampling sampling) {
  switch (sampling) {
    case TimestepSampling::kUniform:
      return draw;
    case TimestepSampling::kMode: {
      const Tensor bump = at::cos(draw * (std::numbers::pi / 2)).square() - 1 + draw;
      return 1 - draw - kModeScale * bump;
    }
    case TimestepSampling::kFluxShift: {
      const double shift = std::exp(shift_mu(SchedulerConfig(), tokens));
      const Tensor t = at::sigmoid(draw);
      return shift * t / (1 + (shift - 1) * t);
    }
    case TimestepSampling::kLogitNormal:
      break;
  }
  return at::sigmoid(draw);
}

StepOutput objective(const FluxTransformer& model, const StepInputs& in, const Tensor& t,
                     const Tensor& x_1, const ObjectiveOptions& options, Trace* trace) {
  const Tensor x_t = add_noise(in.x_0.to(at::kFloat), x_1, t);  // (1-t) x_0 + t x_1
  FluxInputs flux;
  flux.hidden_states = at::cat({x_t.to(in.condition.scalar_type()), in.condition}, 2);
  flux.encoder_hidden_states = in.prompt_embeds;
  flux.pooled_projections = in.pooled;
  flux.timestep = t;
  flux.img_ids = in.image_ids;
  flux.txt_ids = in.text_ids;
  if (model.config().guidance_embeds) flux.guidance = at::full_like(t, kTrainingGuidance);
  const Tensor v =
      model.forward(flux, trace, options.recompute ? Activations::kRecompute : Activations::kKeep);
  const Tensor target = x_1 - in.x_0.to(at::kFloat), pred = v.to(at::kFloat);
  if (!options.right_half) return {at::mse_loss(pred, target), x_t, v};
  return {mean_under_mask((pred - target).square(), in.condition), x_t, v};
}

}  // namespace icedit
