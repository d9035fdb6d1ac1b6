#pragma once
// The training objective: flow matching on the diptych, as in ICEdit's train/src/train/model.py
// (OminiModel.step), with the same draws in the same order.
#include <string>

#include "base/tensor.h"
#include "diffusion/schedule.h"
#include "models/flux/transformer.h"
#include "nn/trace.h"

namespace icedit {

// How the place t on the way from data (0) to noise (1) is drawn.
enum class TimestepSampling {
  kLogitNormal,  // sigmoid of a normal draw, as published
  kUniform,
  kFluxShift,  // logit-normal, then shifted to noise by the number of tokens, as FLUX's schedule is
  kMode        // Esser et al., arXiv 2403.03206, eq. 20 with s = 1.29
};

// Which tokens the mean of the squares is over.
enum class LossTokens {
  kAll,        // as published
  kRightHalf,  // those that the mask touches
  kChanged     // these too; the more the target differs from the source there, up to seven times
               // as much. Every pair counts alike, so that a small edit is not lost among styles.
};

struct ObjectiveOptions {
  TimestepSampling timesteps = TimestepSampling::kLogitNormal;
  SchedulerConfig scheduler;      // the model's, for kFluxShift
  bool use_offset_noise = false;  // x_1 + 0.1 randn[B, 1, C]
  LossTokens loss = LossTokens::kAll;
  AroundBlock around;  // in place of each block (nn/block.h); recomputed_block: checkpointing
};

// All that is random in a micro-batch, on the CPU in f32. B batch  I image tokens  C = 4 c channels
struct StepDraws {
  Tensor image_noise, masked_noise;  // [B, c, h, w]: of the VAE's two samples
  Tensor t_draw;                     // [B]: normal, or uniform for kUniform and kMode
  Tensor x_1;                        // [B, I, C]
};
// latents: [B, c, h, w] of the whole diptych.
StepDraws draw_step(at::Generator& generator, const Shape& latents,
                    const ObjectiveOptions& options);
// What t_draw stands for. `tokens`: I.
Tensor timesteps_of(const Tensor& t_draw, int64_t tokens, const ObjectiveOptions& options);

struct StepInputs {
  Tensor x_0;  // [B, I, 64]: the diptych's latents
  Conditioning conditioning;
};

struct StepOutput {
  Tensor loss;       // a scalar in f32
  Tensor x_t, pred;  // [B, I, 64]
};

// t [B] and x_1 [B, I, 64] in f32. Throws UsageError where a shape does not fit the model.
StepOutput objective(const FluxTransformer& model, const StepInputs& in, const Tensor& t,
                     const Tensor& x_1, const ObjectiveOptions& options = {},
                     Trace* trace = nullptr);

}  // namespace icedit
