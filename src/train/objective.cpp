#include "train/objective.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "diffusion/flow.h"
#include "models/flux/traced.h"

namespace icedit {
namespace {

constexpr double kTrainingGuidance = 1.0;
constexpr double kOffsetNoise = 0.1;
constexpr double kModeScale = 1.29;
constexpr double kChangeWeight = 6;
constexpr double kFullChange = 0.5;  // of latents, whose deviation is about 1

bool is_normal(TimestepSampling sampling) {
  return sampling == TimestepSampling::kLogitNormal || sampling == TimestepSampling::kFluxShift;
}

// 1 for the tokens with any pixel that may change, else 0.  [B, I, 1]
Tensor masked_tokens(const Tensor& condition, int64_t latents) {
  return condition.narrow(2, latents, condition.size(2) - latents).amax(-1, true).gt(0);
}

// 1 to 1 + kChangeWeight: how far a token of x_0 is from the one at its place in the other half, on
// the mean of its channels; from kFullChange on it counts as wholly changed.  [B, I, 1]
Tensor change_weights(const Tensor& x_0, const Tensor& image_ids) {
  const int64_t tokens = x_0.size(1), width = image_ids.select(1, 2).max().item<int64_t>() + 1;
  const Tensor halves = x_0.reshape({x_0.size(0), tokens / width, 2, width / 2, x_0.size(2)});
  const Tensor change =
      (halves.select(2, 1) - halves.select(2, 0)).abs().mean(-1, true);  // [B, rows, width/2, 1]
  const Tensor weights = 1 + kChangeWeight * (change / kFullChange).clamp_max(1);
  return at::cat({weights, weights}, 2).reshape({x_0.size(0), tokens, 1});
}

Tensor loss_of(const Tensor& squares, const StepInputs& in, LossTokens tokens) {
  const int64_t latents = squares.size(2);
  const Tensor counted =
      masked_tokens(in.conditioning.condition, latents).to(squares.scalar_type());
  if (tokens == LossTokens::kRightHalf)
    return (squares * counted).sum() / (counted.sum() * double(latents));
  const Tensor weights = counted * change_weights(in.x_0.to(at::kFloat), in.conditioning.image_ids);
  return ((squares * weights).sum({1, 2}) / (weights.sum({1, 2}) * double(latents))).mean();
}

}  // namespace

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

Tensor timesteps_of(const Tensor& draw, int64_t tokens, const ObjectiveOptions& options) {
  switch (options.timesteps) {
    case TimestepSampling::kUniform:
      return draw;
    case TimestepSampling::kMode: {
      const Tensor bump = at::cos(draw * (std::numbers::pi / 2)).square() - 1 + draw;
      return 1 - draw - kModeScale * bump;
    }
    case TimestepSampling::kFluxShift: {
      const SchedulerConfig& scheduler = options.scheduler;
      const double shift =
          scheduler.use_dynamic_shifting ? std::exp(shift_mu(scheduler, tokens)) : scheduler.shift;
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
  const Tensor x = x_t.to(in.conditioning.condition.scalar_type());
  const Tensor guidance = at::full_like(t, kTrainingGuidance);
  const Tensor v = trace ? traced_forward(model, x, in.conditioning, t, guidance, *trace)
                         : model.forward(x, in.conditioning, t, guidance, options.around);
  const Tensor target = x_1 - in.x_0.to(at::kFloat), pred = v.to(at::kFloat);
  if (options.loss == LossTokens::kAll) return {at::mse_loss(pred, target), x_t, v};
  return {loss_of((pred - target).square(), in, options.loss), x_t, v};
}

}  // namespace icedit
