#pragma once
// What is done to gradients between the backward pass and the optimizer's step.
#include "train/optimizer.h"

namespace icedit {

struct GradientFigures {
  double total = 0;          // 2-norm of all gradients together, before clipping
  double mean = 0, max = 0;  // of the tensors' 2-norms after clipping, as the published code logs
  bool finite = true;
};

// Scales the gradients so that their norm is at most `limit` (0: leaves them), as torch's
// clip_grad_norm_ does. Parameters without a gradient do not count. Gradients that are not finite
// are left alone.
GradientFigures clip_gradients(const NamedTensors& parameters, double limit);

// The first parameter whose gradient holds a NaN or an infinity; "" for none.
std::string first_bad_gradient(const NamedTensors& parameters);

}  // namespace icedit
