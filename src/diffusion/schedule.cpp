#include "diffusion/schedule.h"

#include <ATen/ATen.h>

#include <cmath>

#include "base/error.h"

namespace icedit {

SchedulerConfig SchedulerConfig::from(const JsonFile& json) {
  for (const char* key : {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas",
                          "invert_sigmas", "stochastic_sampling"}) {
    if (json.boolean_or(key, false)) {
      throw CheckpointError(
          str(json.where(), ": '", key, "' is on, which no FLUX scheduler uses; set it to false"));
    }
  }
  if (json.has("shift_terminal") && json.number("shift_terminal") != 0) {
    throw CheckpointError(str(json.where(), ": 'shift_terminal' is ", json.number("shift_terminal"),
                              ", which no FLUX scheduler uses; set it to null"));
  }
  if (json.text_or("time_shift_type", "exponential") != "exponential") {
    throw CheckpointError(str(json.where(), ": 'time_shift_type' is ", json.text("time_shift_type"),
                              ", expected exponential"));
  }
  SchedulerConfig c;
  c.num_train_timesteps = json.integer_or("num_train_timesteps", c.num_train_timesteps);
  c.use_dynamic_shifting = json.boolean_or("use_dynamic_shifting", false);
  c.shift = json.number_or("shift", 1.0);
  c.base_shift = json.number_or("base_shift", c.base_shift);
  c.max_shift = json.number_or("max_shift", c.max_shift);
  c.base_image_seq_len = json.integer_or("base_image_seq_len", c.base_image_seq_len);
  c.max_image_seq_len = json.integer_or("max_image_seq_len", c.max_image_seq_len);
  if (c.num_train_timesteps < 1 || c.max_image_seq_len <= c.base_image_seq_len) {
    throw CheckpointError(str(json.where(), ": num_train_timesteps is ", c.num_train_timesteps,
                              ", base_image_seq_len ", c.base_image_seq_len, ", max_image_seq_len ",
                              c.max_image_seq_len,
                              "; expected positive, and the maximum above the base"));
  }
  return c;
}

int64_t image_tokens(int64_t height, int64_t width, int64_t downscale) {
  return (height / downscale / 2) * (width / downscale / 2);
}

double shift_mu(const SchedulerConfig& c, int64_t tokens) {
  const double slope = (c.max_shift - c.base_shift) /
                       static_cast<double>(c.max_image_seq_len - c.base_image_seq_len);
  const double offset = c.base_shift - slope * static_cast<double>(c.base_image_seq_len);
  return static_cast<double>(tokens) * slope + offset;
}

Schedule make_schedule(const SchedulerConfig& c, int64_t steps, int64_t tokens) {
  if (steps < 1) throw UsageError(str("steps is ", steps, ", expected at least 1"));
  const auto e_mu = static_cast<float>(std::exp(shift_mu(c, tokens)));
  const auto shift = static_cast<float>(c.shift);
  Tensor sigmas = at::zeros({steps + 1}, at::kFloat);
  auto* out = sigmas.mutable_data_ptr<float>();
  const double last = 1.0 / static_cast<double>(steps);
  for (int64_t i = 0; i < steps; ++i) {
    // numpy's linspace(1, 1/n, n): start + i * step, in f64, the last exactly 1/n; everything after
    // that in f32.
    const double step = steps > 1 ? (last - 1.0) / static_cast<double>(steps - 1) : 0.0;
    const auto s = static_cast<float>(
        steps > 1 && i == steps - 1 ? last : 1.0 + static_cast<double>(i) * step);
    out[i] = c.use_dynamic_shifting ? e_mu / (e_mu + (1.0f / s - 1.0f))
                                    : shift * s / (1.0f + (shift - 1.0f) * s);
  }
  return {sigmas, sigmas.narrow(0, 0, steps) * static_cast<double>(c.num_train_timesteps)};
}

}  // namespace icedit
