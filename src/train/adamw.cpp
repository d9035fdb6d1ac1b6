// AdamW (Loshchilov and Hutter, arXiv 1711.05101), equal to torch.optim.AdamW on the CPU.
#include <ATen/ATen.h>

#include <cmath>

#include "train/optimizer.h"

namespace icedit {
namespace {

struct AdamWOptions {
  double lr = 1e-3;
  Betas betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 1e-2;
  bool amsgrad = false;
  bool maximize = false;

  explicit AdamWOptions(const OptimizerConfig& config) {
    OptimizerSettings settings(config);
    settings.read("lr", lr, kNotBelow0);
    settings.read("betas", betas);
    settings.read("eps", eps, kNotBelow0);
    settings.read("weight_decay", weight_decay, kNotBelow0);
    settings.read("amsgrad", amsgrad);
    settings.read("maximize", maximize);
    settings.expect_all_used();
  }
};

class AdamW : public Optimizer {
 public:
  AdamW(NamedTensors parameters, const AdamWOptions& options)
      : Optimizer(std::move(parameters), options.lr), options_(options) {}

  std::string type() const override { return "AdamW"; }

 protected:
  std::vector<Entry> entries(const Tensor& parameter) const override {
    const Shape shape = parameter.sizes().vec();
    std::vector<Entry> entries = {{"exp_avg", shape}, {"exp_avg_sq", shape}};
    if (options_.amsgrad) entries.push_back({"max_exp_avg_sq", shape});
    return entries;
  }

  void update(Tensor p, Tensor grad, ParameterState& state) override {
    if (options_.maximize) grad = -grad;
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

 private:
  AdamWOptions options_;
};

}  // namespace

OptimizerMaker adamw(const OptimizerConfig& config) {
  return maker_of<AdamW>(AdamWOptions(config));
}

}  // namespace icedit
