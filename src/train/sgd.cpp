// Gradient descent with momentum, equal to torch.optim.SGD on the CPU.
#include <ATen/ATen.h>

#include "train/optimizer.h"

namespace icedit {
namespace {

struct SgdOptions {
  double lr = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;  // acts on the gradient
  bool nesterov = false;
  bool maximize = false;

  explicit SgdOptions(const OptimizerConfig& config) {
    OptimizerSettings settings(config);
    settings.read("lr", lr, kNotBelow0);
    settings.read("momentum", momentum, kNotBelow0);
    settings.read("dampening", dampening, kAnyNumber);
    settings.read("weight_decay", weight_decay, kNotBelow0);
    settings.read("nesterov", nesterov);
    settings.read("maximize", maximize);
    settings.expect_all_used();
    settings.check(!nesterov || momentum > 0, "momentum", momentum,
                   "a number above 0 with nesterov");
    settings.check(!nesterov || dampening == 0, "dampening", dampening, "0 with nesterov");
  }
};

class Sgd : public Optimizer {
 public:
  Sgd(NamedTensors parameters, const SgdOptions& options)
      : Optimizer(std::move(parameters), options.lr), options_(options) {}

  std::string type() const override { return "SGD"; }

 protected:
  std::vector<Entry> entries(const Tensor& parameter) const override {
    if (options_.momentum == 0) return {};
    return {{"momentum_buffer", parameter.sizes().vec()}};
  }

  void update(Tensor p, Tensor grad, ParameterState& state) override {
    if (options_.maximize) grad = -grad;
    if (options_.weight_decay != 0) grad = grad.add(p, options_.weight_decay);
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

 private:
  SgdOptions options_;
};

}  // namespace

OptimizerMaker sgd(const OptimizerConfig& config) {
  return maker_of<Sgd>(SgdOptions(config));
}

}  // namespace icedit
