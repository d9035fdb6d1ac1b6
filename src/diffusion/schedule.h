#pragma once
// FlowMatchEulerDiscreteScheduler as the FLUX pipelines drive it.
// Source: diffusers schedulers/scheduling_flow_match_euler_discrete.py,
// pipelines/flux/pipeline_flux_fill.py.
#include <cstdint>

#include "base/tensor.h"
#include "io/json_file.h"

namespace icedit {

struct SchedulerConfig {
  int64_t num_train_timesteps = 1000;
  bool use_dynamic_shifting = true;
  double shift = 3.0;  // only without dynamic shifting
  double base_shift = 0.5, max_shift = 1.15;
  int64_t base_image_seq_len = 256, max_image_seq_len = 4096;

  // Throws CheckpointError for settings that no FLUX uses and that would change the sigmas (Karras,
  // beta, ...).
  static SchedulerConfig from(const JsonFile& json);
};

struct Schedule {
  Tensor sigmas;     // [steps + 1] f32, from 1 down; the last is 0
  Tensor timesteps;  // [steps] f32, sigmas * 1000
};

// Tokens of a picture of height x width pixels: (height / f / 2) (width / f / 2), f the VAE's
// downscale.
int64_t image_tokens(int64_t height, int64_t width, int64_t downscale);

// The shift's strength for so many tokens.
double shift_mu(const SchedulerConfig& config, int64_t tokens);

// Throws UsageError for steps < 1.
Schedule make_schedule(const SchedulerConfig& config, int64_t steps, int64_t tokens);

}  // namespace icedit
