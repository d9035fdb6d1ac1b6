#include "train/trace.h"

#include <ATen/ATen.h>

#include "base/str.h"
#include "nn/weights.h"

namespace icedit {

void StepTrace::keep(const std::string& name, const Tensor& tensor) {
  tensors_.emplace_back(name, tensor.detach().to(at::kCPU).clone());
}

void StepTrace::start(const NamedTensors& parameters) {
  for (const auto& [name, parameter] : parameters) keep("start." + name, parameter);
}

void StepTrace::micro_batch(int64_t step, int64_t micro, const StepDraws& draws,
                            const StepInputs& in, const Tensor& t, const StepOutput& out) {
  const std::string at = str(step, ".", micro, ".");
  keep(at + "image_noise", draws.image_noise);
  keep(at + "masked_noise", draws.masked_noise);
  keep(at + "t_draw", draws.t_draw);
  keep(at + "x_1", draws.x_1);
  keep(at + "x_0", in.x_0);
  keep(at + "condition", in.conditioning.condition);
  keep(at + "prompt_embeds", in.conditioning.prompt_embeds);
  keep(at + "pooled", in.conditioning.pooled_prompt_embeds);
  keep(at + "image_ids", in.conditioning.image_ids);
  keep(at + "text_ids", in.conditioning.text_ids);
  keep(at + "t", t);
  keep(at + "x_t", out.x_t);
  keep(at + "pred", out.pred);
  keep(at + "loss", out.loss);
}

void StepTrace::gradients(int64_t step, const NamedTensors& parameters) {
  for (const auto& [name, parameter] : parameters)
    if (parameter.grad().defined()) keep(str(step, ".grad.", name), parameter.grad());
}

void StepTrace::write() const {
  save_tensors(file_, tensors_);
}

}  // namespace icedit
