// Prodigy (Mishchenko and Defazio, arXiv 2306.06101): Adam whose step size d is estimated from the
// gradients. Equal to prodigyopt 1.1.2 with one parameter group; its names are kept.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <limits>

#include "train/optimizer.h"

namespace icedit {
namespace {

struct ProdigyOptions {
  double lr = 1.0;  // a factor on the estimated step size
  Betas betas = {0.9, 0.999};
  std::optional<double> beta3;  // of d's running averages; sqrt(beta2) when absent
  double eps = 1e-8;
  double weight_decay = 0;
  bool decouple = true;  // the decay acts on the weights (AdamW's way), else on the gradients
  bool use_bias_correction = false;
  bool safeguard_warmup = false;  // leaves lr out of d's denominator
  double d0 = 1e-6;
  double d_coef = 1.0;
  double growth_rate = std::numeric_limits<double>::infinity();  // of d, a step
  double slice_p = 1;  // d is estimated from every slice_p-th element, which saves memory

  explicit ProdigyOptions(const OptimizerConfig& config) {
    OptimizerSettings settings(config);
    settings.read("lr", lr, {kAbove0.good, "a number above 0; 1 is Prodigy's own"});
    settings.read("betas", betas);
    settings.read("beta3", beta3, k0ToBelow1);
    settings.read("eps", eps, kAbove0);
    settings.read("weight_decay", weight_decay, kNotBelow0);
    settings.read("decouple", decouple);
    settings.read("use_bias_correction", use_bias_correction);
    settings.read("safeguard_warmup", safeguard_warmup);
    settings.read("d0", d0, kAbove0);
    settings.read("d_coef", d_coef, kAbove0);
    settings.read("growth_rate", growth_rate,
                  {[](double v) { return v >= 1; }, "a number not below 1"});
    settings.read("slice_p", slice_p,
                  {[](double v) { return v >= 1 && v <= 1e9 && v == std::floor(v); },
                   "a whole number from 1 on"});
    settings.expect_all_used();
  }
};

class Prodigy : public Optimizer {
 public:
  Prodigy(NamedTensors parameters, const ProdigyOptions& options)
      : Optimizer(std::move(parameters), options.lr),
        options_(options),
        beta3_(options.beta3.value_or(std::sqrt(options.betas.second))),
        d_(options.d0),
        d_max_(options.d0) {}

  std::string type() const override { return "Prodigy"; }
  std::optional<double> estimated_d() const override { return d_; }

  void step() override {
    const c10::NoGradGuard no_grad;
    const auto [beta1, beta2] = options_.betas;
    const double steps = k_ + 1;
    const double bias_correction =
        options_.use_bias_correction
            ? std::pow(1 - std::pow(beta2, steps), 0.5) / (1 - std::pow(beta1, steps))
            : 1;
    dlr_ = d_ * lr_ * bias_correction;

    Sums sums;
    for_each_gradient([&](const Tensor& p, const Tensor& grad, ParameterState& state) {
      accumulate(p, grad, state.tensors, sums);
    });
    if (sums.denom == 0) return;  // no gradient, or all zero, or the rate is 0: not a step
    estimate(sums);
    Optimizer::step();
    ++k_;
  }

 protected:
  std::vector<Entry> entries(const Tensor& parameter) const override {
    const int64_t slice = stride(), sliced_size = (parameter.numel() + slice - 1) / slice;
    std::vector<Entry> entries = {{"s", {sliced_size}},
                                  {"p0", {sliced_size}, /*or_scalar=*/true},
                                  {"exp_avg_sq", parameter.sizes().vec()}};
    if (options_.betas.first > 0) entries.push_back({"exp_avg", parameter.sizes().vec()});
    return entries;
  }

  std::map<std::string, double*> scalars() override {
    return {{"k", &k_},         {"d", &d_},
            {"d_max", &d_max_}, {"d_numerator", &d_numerator_},
            {"d_hat", &d_hat_}, {"d_denom", &d_denom_}};
  }

  // Adam's step with the new d in eps and the old one (in dlr) in the step size, as published.
  void update(Tensor p, Tensor grad, ParameterState& state) override {
    ++state.step;
    const Tensor denom = state.tensors["exp_avg_sq"].sqrt().add_(d_ * options_.eps);
    if (options_.weight_decay != 0 && options_.decouple) p.add_(p, -options_.weight_decay * dlr_);
    if (options_.betas.first > 0)
      p.addcdiv_(state.tensors["exp_avg"], denom, -dlr_);
    else
      p.addcdiv_(grad, denom, -dlr_ * d_);
  }

 private:
  using Tensors = std::map<std::string, Tensor>;
  struct Sums {
    double numerator = 0, denom = 0;
  };

  int64_t stride() const { return int64_t(options_.slice_p); }
  // Every stride-th element, as one dimension.
  Tensor sliced(const Tensor& tensor) const {
    return tensor.flatten().slice(/*dim=*/0, /*start=*/0, /*end=*/std::nullopt, stride());
  }

  void begin(const Tensor& p, Tensors& state) const {
    const Tensor start = sliced(p);
    state["s"] = at::zeros_like(start);
    // Where all is zero (a fresh lora_B) one number will do: half of the adapter's copy saved.
    state["p0"] = p.any().item<bool>() ? start.clone() : at::zeros({}, p.options());
    if (options_.betas.first > 0) state["exp_avg"] = at::zeros_like(p);
    state["exp_avg_sq"] = at::zeros_like(p);
  }

  // The gradient's running averages, and this parameter's part of d's numerator and denominator.
  void accumulate(const Tensor& p, const Tensor& grad, Tensors& state, Sums& sums) const {
    if (options_.weight_decay != 0 && !options_.decouple) grad.add_(p, options_.weight_decay);
    if (state.empty()) begin(p, state);
    if (lr_ <= 0) return;

    const auto [beta1, beta2] = options_.betas;
    const double scale = d_ / options_.d0;  // of d itself the sums would underflow
    const Tensor sliced_grad = sliced(grad);
    const Tensor way = state["p0"] - sliced(p);
    sums.numerator += scale * dlr_ * at::dot(sliced_grad, way).item<double>();

    if (beta1 > 0) state["exp_avg"].mul_(beta1).add_(grad, d_ * (1 - beta1));
    state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, d_ * d_ * (1 - beta2));
    Tensor& s = state["s"];
    s.mul_(beta3_).add_(sliced_grad, scale * (options_.safeguard_warmup ? d_ : dlr_));
    sums.denom += s.abs().sum().item<double>();
  }

  void estimate(const Sums& sums) {
    d_numerator_ = d_numerator_ * beta3_ + sums.numerator;
    d_denom_ = sums.denom;
    d_hat_ = options_.d_coef * d_numerator_ / d_denom_;
    if (d_ == options_.d0) d_ = std::max(d_, d_hat_);
    d_max_ = std::max(d_max_, d_hat_);
    d_ = std::min(d_max_, d_ * options_.growth_rate);
  }

  ProdigyOptions options_;
  double beta3_;
  double dlr_ = 0;  // of the step that runs
  double k_ = 0;    // steps taken
  double d_, d_max_, d_hat_ = 0, d_numerator_ = 0, d_denom_ = 0;
};

}  // namespace

OptimizerMaker prodigy(const OptimizerConfig& config) {
  return maker_of<Prodigy>(ProdigyOptions(config));
}

}  // namespace icedit
