#pragma once
// Prodigy (Mishchenko and Defazio, arXiv 2306.06101): Adam whose step size d is estimated from the
// gradients. Equal to prodigyopt 1.1.2 with one parameter group; its names are kept.
#include <limits>
#include <optional>

#include "train/optimizer.h"

namespace icedit {

struct ProdigyOptions {
  double lr = 1.0;  // a factor on the estimated step size
  std::pair<double, double> betas = {0.9, 0.999};
  std::optional<double> beta3;  // of d's running averages; sqrt(beta2) when absent
  double eps = 1e-8;
  double weight_decay = 0;
  bool decouple = true;  // the decay acts on the weights (AdamW's way), else on the gradients
  bool use_bias_correction = false;
  bool safeguard_warmup = false;  // leaves lr out of d's denominator
  double d0 = 1e-6;
  double d_coef = 1.0;
  double growth_rate = std::numeric_limits<double>::infinity();  // of d, a step
  int64_t slice_p = 1;  // d is estimated from every slice_p-th element, which saves memory

  // Throws UsageError.
  static ProdigyOptions read(const OptimizerConfig& config);
};

class Prodigy : public Optimizer {
 public:
  Prodigy(NamedTensors parameters, const ProdigyOptions& options);

  void step() override;
  std::string type() const override { return "Prodigy"; }

  // The estimate and what it is made of, after the last step.
  double d() const { return d_; }
  std::optional<double> estimated_d() const override { return d_; }
  double d_hat() const { return d_hat_; }
  double d_numerator() const { return d_numerator_; }
  double d_denom() const { return d_denom_; }

 protected:
  std::vector<Entry> entries(const Tensor& parameter) const override;
  std::map<std::string, double> scalars() const override;
  void set_scalars(const std::map<std::string, double>& scalars) override;

 private:
  struct Sums {
    double numerator = 0, denom = 0;
  };
  void begin(size_t i);
  void accumulate(size_t i, double dlr, Sums& sums);
  void estimate(const Sums& sums);
  void update(size_t i, double dlr);

  ProdigyOptions options_;
  double beta3_;
  int64_t k_ = 0;  // steps taken
  double d_, d_max_, d_hat_ = 0, d_numerator_ = 0, d_denom_ = 0;
};

}  // namespace icedit
