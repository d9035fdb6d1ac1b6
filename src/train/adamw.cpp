#include "train/adamw.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace icedit {

AdamWOptions AdamWOptions::read(const OptimizerConfig& config) {
  Settings settings(config);
  AdamWOptions o;
  o.lr = settings.number("lr", o.lr);
  o.betas = settings.two_numbers("betas", o.betas);
  o.eps = settings.number("eps", o.eps);
  o.weight_decay = settings.number("weight_decay", o.weight_decay);
  o.amsgrad = settings.boolean("amsgrad", o.amsgrad);
  o.maximize = settings.boolean("maximize", o.maximize);
  settings.expect_all_used();
  settings.check(o.lr >= 0, "lr", o.lr, "a number not below 0");
  settings.check(o.betas.first >= 0 && o.betas.first < 1, "betas[0]", o.betas.first,
                 "0 to below 1");
  settings.check(o.betas.second >= 0 && o.betas.second < 1, "betas[1]", o.betas.second,
                 "0 to below 1");
  settings.check(o.eps >= 0, "eps", o.eps, "a number not below 0");
  settings.check(o.weight_decay >= 0, "weight_decay", o.weight_decay, "a number not below 0");
  return o;
}

AdamW::AdamW(NamedTensors parameters, const AdamWOptions& options)
    : Optimizer(std::move(parameters), options.lr), options_(options) {}

std::vector<Optimizer::Entry> AdamW::entries(const Tensor& parameter) const {
  const Shape shape = parameter.sizes().vec();
  std::vector<Entry> entries = {{"exp_avg", shape}, {"exp_avg_sq", shape}};
  if (options_.amsgrad) entries.push_back({"max_exp_avg_sq", shape});
  return entries;
}

void AdamW::update(size_t i) {
  Tensor p = parameters_[i].second.detach();
  Tensor grad = parameters_[i].second.grad().detach();
  if (options_.maximize) grad = -grad;
  ParameterState& state = states_[i];
  if (state.tensors.empty())
    for (const Entry& entry : entries(p)) state.tensors[entry.name] = at::zeros_like(p);
  const auto [beta1, beta2] = options_.betas;
  const double steps = double(++state.step);

  if (options_.weight_decay != 0) p.mul_(1 - lr_ * options_.weight_decay);
  Tensor& exp_avg = state.tensors["exp_avg"];
  Tensor& exp_avg_sq = state.tensors["exp_avg_sq"];
  exp_avg.lerp_(grad, 1 - beta1);
  exp_avg_sq.mul_(beta2).addcmul_(grad, grad, 1 - beta2);

  const double step_size = lr_ / (1 - std::pow(beta1, steps));
  const double correction = std::pow(1 - std::pow(beta2, steps), 0.5);
  Tensor square = exp_avg_sq;
  if (options_.amsgrad) {
    Tensor& most = state.tensors["max_exp_avg_sq"];
    at::maximum_out(most, most, exp_avg_sq);
    square = most;
  }
  const Tensor denom = (square.sqrt() / correction).add_(options_.eps);
  p.addcdiv_(exp_avg, denom, -step_size);
}

void AdamW::step() {
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i)
    if (parameters_[i].second.grad().defined()) update(i);
}

}  // namespace icedit
