#include "train/sgd.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace icedit {

SgdOptions SgdOptions::read(const OptimizerConfig& config) {
  Settings settings(config);
  SgdOptions o;
  o.lr = settings.number("lr", o.lr);
  o.momentum = settings.number("momentum", o.momentum);
  o.dampening = settings.number("dampening", o.dampening);
  o.weight_decay = settings.number("weight_decay", o.weight_decay);
  o.nesterov = settings.boolean("nesterov", o.nesterov);
  o.maximize = settings.boolean("maximize", o.maximize);
  settings.expect_all_used();
  settings.check(o.lr >= 0, "lr", o.lr, "a number not below 0");
  settings.check(o.momentum >= 0, "momentum", o.momentum, "a number not below 0");
  settings.check(o.weight_decay >= 0, "weight_decay", o.weight_decay, "a number not below 0");
  settings.check(!o.nesterov || o.momentum > 0, "momentum", o.momentum,
                 "a number above 0 with nesterov");
  settings.check(!o.nesterov || o.dampening == 0, "dampening", o.dampening, "0 with nesterov");
  return o;
}

Sgd::Sgd(NamedTensors parameters, const SgdOptions& options)
    : Optimizer(std::move(parameters), options.lr), options_(options) {}

std::vector<Optimizer::Entry> Sgd::entries(const Tensor& parameter) const {
  if (options_.momentum == 0) return {};
  return {{"momentum_buffer", parameter.sizes().vec()}};
}

void Sgd::update(size_t i) {
  Tensor p = parameters_[i].second.detach();
  Tensor grad = parameters_[i].second.grad().detach();
  if (options_.maximize) grad = -grad;
  if (options_.weight_decay != 0) grad = grad.add(p, options_.weight_decay);
  ParameterState& state = states_[i];
  ++state.step;
  if (options_.momentum != 0) {
    Tensor& buffer = state.tensors["momentum_buffer"];
    if (buffer.defined())
      buffer.mul_(options_.momentum).add_(grad, 1 - options_.dampening);
    else
      buffer = grad.clone();  // the first one undampened
    grad = options_.nesterov ? grad.add(buffer, options_.momentum) : buffer;
  }
  p.add_(grad, -lr_);
}

void Sgd::step() {
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i)
    if (parameters_[i].second.grad().defined()) update(i);
}

}  // namespace icedit
