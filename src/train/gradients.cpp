#include "train/gradients.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace icedit {

GradientFigures clip_gradients(const NamedTensors& parameters, double limit) {
  const at::NoGradGuard no_grad;
  std::vector<Tensor> grads, norms;
  for (const auto& [name, parameter] : parameters) {
    if (!parameter.grad().defined()) continue;
    grads.push_back(parameter.grad());
    norms.push_back(at::linalg_vector_norm(parameter.grad()).to(at::kFloat));
  }
  GradientFigures figures;
  if (grads.empty()) return figures;
  const Tensor total = at::linalg_vector_norm(at::stack(norms));
  figures.total = total.item<double>();
  figures.finite = std::isfinite(figures.total);
  if (!figures.finite) return figures;
  const Tensor factor = (limit / (total + 1e-6)).clamp_max(1.0);
  for (const Tensor& grad : grads) {
    if (limit > 0) grad.mul_(factor);
    const double norm = at::linalg_vector_norm(grad).item<double>();
    figures.mean += norm / double(grads.size());
    figures.max = std::max(figures.max, norm);
  }
  return figures;
}

std::string first_bad_gradient(const NamedTensors& parameters) {
  for (const auto& [name, parameter] : parameters) {
    const Tensor& grad = parameter.grad();
    if (grad.defined() && !at::isfinite(grad).all().item<bool>()) return name;
  }
  return "";
}

}  // namespace icedit
