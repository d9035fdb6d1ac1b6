#pragma once
// What turns gradients into steps. Each optimizer does its element-wise operations in the order of
// the Python that it equals, so that f32 runs stay together (tests/goldens/README.md says how
// closely).
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/tensor.h"

namespace icedit {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

// All that a run needs to go on bit for bit, apart from the parameters themselves.
struct OptimizerState {
  NamedTensors tensors;                   // "PARAMETER.exp_avg", ...
  std::map<std::string, double> scalars;  // "PARAMETER.step", "d", "lr", ...
};

// One parameter's state: empty until its first gradient.
struct ParameterState {
  int64_t step = 0;
  std::map<std::string, Tensor> tensors;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // Updates every parameter that has a gradient; the others are left alone, state and all.
  virtual void step() = 0;
  // Drops the gradients: they are undefined until the next backward pass, as torch's set_to_none.
  void zero_grad();

  double lr() const { return lr_; }
  void set_lr(double lr) { lr_ = lr; }  // a schedule's; 0 is allowed

  // What Prodigy multiplies the rate by, as it stands now.
  virtual std::optional<double> estimated_d() const { return std::nullopt; }
  virtual std::string type() const = 0;  // as the configuration spells it
  const NamedTensors& parameters() const { return parameters_; }

  OptimizerState state()
      const;  // the tensors are the optimizer's own: store them before the next step
  // Copies. Throws CheckpointError: of another optimizer or other settings (an entry missing or too
  // much), other parameters, other shapes; the optimizer is then as before.
  void load(const OptimizerState& state);

 protected:
  // Throws UsageError: no parameter, a name twice, a tensor that cannot have a gradient.
  Optimizer(NamedTensors parameters, double lr);

  struct Entry {
    std::string name;
    Shape shape;
    bool or_scalar = false;  // may also be 0-dimensional
  };
  // What a parameter's state holds once there is one.
  virtual std::vector<Entry> entries(const Tensor& parameter) const = 0;
  // Figures of the whole run besides the rate.
  virtual std::map<std::string, double> scalars() const { return {}; }
  virtual void set_scalars(const std::map<std::string, double>& scalars) {}

  NamedTensors parameters_;
  std::vector<ParameterState> states_;  // in the order of the parameters
  double lr_;

 private:
  ParameterState read_state(const std::map<std::string, Tensor>& from, int64_t step,
                            size_t parameter) const;
};

// A value of `train.optimizer.params`; monostate: null, the default.
using OptimizerParam = std::variant<std::monostate, bool, double, std::vector<double>>;
struct OptimizerConfig {
  std::string type = "Prodigy";                  // Prodigy, AdamW, SGD
  std::map<std::string, OptimizerParam> params;  // by the Python keyword arguments' names
};

// Throws UsageError: unknown type or key (naming those there are), a value of the wrong type or out
// of range.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, NamedTensors parameters);
// The same in two parts: reads the settings now, so that wrong ones are found before the parameters
// are there.
using OptimizerMaker = std::function<std::unique_ptr<Optimizer>(NamedTensors)>;
OptimizerMaker optimizer_maker(const OptimizerConfig& config);

// Reads settings by name and, at the end, complains about those that nobody asked for.
class Settings {
 public:
  explicit Settings(const OptimizerConfig& config) : config_(config) {}

  double number(const std::string& key, double fallback);
  bool boolean(const std::string& key, bool fallback);
  std::pair<double, double> two_numbers(const std::string& key, std::pair<double, double> fallback);
  bool given(const std::string& key);  // and not null
  void expect_all_used() const;
  // "train.optimizer.params.lr is -1, expected EXPECTED" as a UsageError, when `good` is false.
  void check(bool good, const std::string& key, double value, const std::string& expected) const;

 private:
  const OptimizerParam* find(const std::string& key);

  const OptimizerConfig& config_;
  std::vector<std::string> known_;
};

}  // namespace icedit
