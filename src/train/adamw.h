#pragma once
// AdamW (Loshchilov and Hutter, arXiv 1711.05101), equal to torch.optim.AdamW on the CPU.
#include "train/optimizer.h"

namespace icedit {

struct AdamWOptions {
  double lr = 1e-3;
  std::pair<double, double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 1e-2;
  bool amsgrad = false;
  bool maximize = false;

  static AdamWOptions read(const OptimizerConfig& config);  // throws UsageError
};

class AdamW : public Optimizer {
 public:
  AdamW(NamedTensors parameters, const AdamWOptions& options);

  void step() override;
  std::string type() const override { return "AdamW"; }

 protected:
  std::vector<Entry> entries(const Tensor& parameter) const override;

 private:
  void update(size_t i);

  AdamWOptions options_;
};

}  // namespace icedit
