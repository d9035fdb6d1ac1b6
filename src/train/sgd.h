#pragma once
// Gradient descent with momentum, equal to torch.optim.SGD on the CPU.
#include "train/optimizer.h"

namespace icedit {

struct SgdOptions {
  double lr = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;  // acts on the gradient
  bool nesterov = false;
  bool maximize = false;

  static SgdOptions read(const OptimizerConfig& config);  // throws UsageError
};

class Sgd : public Optimizer {
 public:
  Sgd(NamedTensors parameters, const SgdOptions& options);

  void step() override;
  std::string type() const override { return "SGD"; }

 protected:
  std::vector<Entry> entries(const Tensor& parameter) const override;

 private:
  void update(size_t i);

  SgdOptions options_;
};

}  // namespace icedit
