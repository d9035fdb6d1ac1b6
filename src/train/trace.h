#pragma once
// What happens in the first steps of a run, as named tensors, to compare with Python.
#include <string>
#include <vector>

#include "io/files.h"
#include "train/gradients.h"
#include "train/objective.h"

namespace icedit {

// STEP.MICRO.{image_noise, masked_noise, t_draw, x_1, x_0, condition, prompt_embeds, pooled,
// image_ids, text_ids, t, x_t, pred, loss} of every micro-batch, then STEP.grad.NAME before
// clipping; start.NAME: what is trained, before the first step.
class StepTrace {
 public:
  explicit StepTrace(Path file) : file_(std::move(file)) {}

  void start(const NamedTensors& parameters);
  void micro_batch(int64_t step, int64_t micro, const StepDraws& draws, const StepInputs& in,
                   const Tensor& t, const StepOutput& out);
  void gradients(int64_t step, const NamedTensors& parameters);
  // Throws IoError.
  void write() const;

 private:
  void keep(const std::string& name, const Tensor& tensor);  // a copy

  Path file_;
  NamedTensors tensors_;
};

}  // namespace icedit
