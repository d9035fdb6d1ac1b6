#include "train/prodigy.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace icedit {
namespace {

// Every stride-th element, as one dimension.
Tensor sliced(const Tensor& tensor, int64_t stride) {
  return tensor.flatten().slice(/*dim=*/0, /*start=*/0, /*end=*/std::nullopt, stride);
}

}  // namespace

ProdigyOptions ProdigyOptions::read(const OptimizerConfig& config) {
  Settings settings(config);
  ProdigyOptions o;
  o.lr = settings.number("lr", o.lr);
  o.betas = settings.two_numbers("betas", o.betas);
  if (settings.given("beta3")) o.beta3 = settings.number("beta3", 0);
  o.eps = settings.number("eps", o.eps);
  o.weight_decay = settings.number("weight_decay", o.weight_decay);
  o.decouple = settings.boolean("decouple", o.decouple);
  o.use_bias_correction = settings.boolean("use_bias_correction", o.use_bias_correction);
  o.safeguard_warmup = settings.boolean("safeguard_warmup", o.safeguard_warmup);
  o.d0 = settings.number("d0", o.d0);
  o.d_coef = settings.number("d_coef", o.d_coef);
  o.growth_rate = settings.number("growth_rate", o.growth_rate);
  const double slice = settings.number("slice_p", double(o.slice_p));
  settings.expect_all_used();

  const auto [beta1, beta2] = o.betas;
  settings.check(o.lr > 0, "lr", o.lr, "a number above 0; 1 is Prodigy's own");
  settings.check(beta1 >= 0 && beta1 < 1, "betas[0]", beta1, "0 to below 1");
  settings.check(beta2 >= 0 && beta2 < 1, "betas[1]", beta2, "0 to below 1");
  settings.check(!o.beta3 || (*o.beta3 >= 0 && *o.beta3 < 1), "beta3", o.beta3.value_or(0),
                 "0 to below 1");
  settings.check(o.eps > 0, "eps", o.eps, "a number above 0");
  settings.check(o.weight_decay >= 0, "weight_decay", o.weight_decay, "a number not below 0");
  settings.check(o.d0 > 0, "d0", o.d0, "a number above 0");
  settings.check(o.d_coef > 0, "d_coef", o.d_coef, "a number above 0");
  settings.check(o.growth_rate >= 1, "growth_rate", o.growth_rate, "a number not below 1");
  settings.check(slice >= 1 && slice <= 1e9 && slice == std::floor(slice), "slice_p", slice,
                 "a whole number from 1 on");
  o.slice_p = int64_t(slice);
  return o;
}

Prodigy::Prodigy(NamedTensors parameters, const ProdigyOptions& options)
    : Optimizer(std::move(parameters), options.lr),
      options_(options),
      beta3_(options.beta3.value_or(std::sqrt(options.betas.second))),
      d_(options.d0),
      d_max_(options.d0) {}

std::vector<Optimizer::Entry> Prodigy::entries(const Tensor& parameter) const {
  const int64_t sliced_size = (parameter.numel() + options_.slice_p - 1) / options_.slice_p;
  std::vector<Entry> entries = {{"s", {sliced_size}},
                                {"p0", {sliced_size}, /*or_scalar=*/true},
                                {"exp_avg_sq", parameter.sizes().vec()}};
  if (options_.betas.first > 0) entries.push_back({"exp_avg", parameter.sizes().vec()});
  return entries;
}

std::map<std::string, double> Prodigy::scalars() const {
  return {{"k", double(k_)}, {"d", d_},
          {"d_max", d_max_}, {"d_numerator", d_numerator_},
          {"d_hat", d_hat_}, {"d_denom", d_denom_}};
}

void Prodigy::set_scalars(const std::map<std::string, double>& scalars) {
  k_ = int64_t(scalars.at("k"));
  d_ = scalars.at("d");
  d_max_ = scalars.at("d_max");
  d_numerator_ = scalars.at("d_numerator");
  d_hat_ = scalars.at("d_hat");
  d_denom_ = scalars.at("d_denom");
}

void Prodigy::begin(size_t i) {
  const Tensor p = parameters_[i].second.detach();
  auto& state = states_[i].tensors;
  const Tensor start = sliced(p, options_.slice_p);
  state["s"] = at::zeros_like(start);
  // Where all is zero (a fresh lora_B) one number will do: half of the adapter's copy saved.
  state["p0"] = p.any().item<bool>() ? start.clone() : at::zeros({}, p.options());
  if (options_.betas.first > 0) state["exp_avg"] = at::zeros_like(p);
  state["exp_avg_sq"] = at::zeros_like(p);
}

// The gradient's running averages, and this parameter's part of d's numerator and denominator.
void Prodigy::accumulate(size_t i, double dlr, Sums& sums) {
  const Tensor p = parameters_[i].second.detach();
  const Tensor grad = parameters_[i].second.grad().detach();
  if (options_.weight_decay != 0 && !options_.decouple) grad.add_(p, options_.weight_decay);
  auto& state = states_[i].tensors;
  if (state.empty()) begin(i);
  if (lr_ <= 0) return;

  const auto [beta1, beta2] = options_.betas;
  const double scale = d_ / options_.d0;  // of d itself the sums would underflow
  const Tensor sliced_grad = sliced(grad, options_.slice_p);
  const Tensor way = state["p0"] - sliced(p, options_.slice_p);
  sums.numerator += scale * dlr * at::dot(sliced_grad, way).item<double>();

  if (beta1 > 0) state["exp_avg"].mul_(beta1).add_(grad, d_ * (1 - beta1));
  state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, d_ * d_ * (1 - beta2));
  Tensor& s = state["s"];
  s.mul_(beta3_).add_(sliced_grad, scale * (options_.safeguard_warmup ? d_ : dlr));
  sums.denom += s.abs().sum().item<double>();
}

void Prodigy::estimate(const Sums& sums) {
  d_numerator_ = d_numerator_ * beta3_ + sums.numerator;
  d_denom_ = sums.denom;
  d_hat_ = options_.d_coef * d_numerator_ / d_denom_;
  if (d_ == options_.d0) d_ = std::max(d_, d_hat_);
  d_max_ = std::max(d_max_, d_hat_);
  d_ = std::min(d_max_, d_ * options_.growth_rate);
}

// Adam's step with the new d in eps and the old one (in dlr) in the step size, as published.
void Prodigy::update(size_t i, double dlr) {
  Tensor p = parameters_[i].second.detach();
  const Tensor grad = parameters_[i].second.grad().detach();
  ParameterState& state = states_[i];
  ++state.step;
  const Tensor denom = state.tensors["exp_avg_sq"].sqrt().add_(d_ * options_.eps);
  if (options_.weight_decay != 0 && options_.decouple) p.add_(p, -options_.weight_decay * dlr);
  if (options_.betas.first > 0)
    p.addcdiv_(state.tensors["exp_avg"], denom, -dlr);
  else
    p.addcdiv_(grad, denom, -dlr * d_);
}

void Prodigy::step() {
  const c10::NoGradGuard no_grad;
  const auto [beta1, beta2] = options_.betas;
  const double steps = double(k_ + 1);
  const double bias_correction =
      options_.use_bias_correction
          ? std::pow(1 - std::pow(beta2, steps), 0.5) / (1 - std::pow(beta1, steps))
          : 1;
  const double dlr = d_ * lr_ * bias_correction;

  Sums sums;
  for (size_t i = 0; i < parameters_.size(); ++i)
    if (parameters_[i].second.grad().defined()) accumulate(i, dlr, sums);
  if (sums.denom == 0) return;  // no gradient, or all zero, or the rate is 0: not a step
  estimate(sums);
  for (size_t i = 0; i < parameters_.size(); ++i)
    if (parameters_[i].second.grad().defined()) update(i, dlr);
  ++k_;
}

}  // namespace icedit
