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
  virtual void step();
  // Drops the gradients: they are undefined until the next backward pass, as torch's set_to_none.
  void zero_grad();

  double lr() const { return lr_; }
  void set_lr(double lr) { lr_ = lr; }  // a schedule's; 0 is allowed

  // What Prodigy multiplies the rate by, as it stands now.
  virtual std::optional<double> estimated_d() const { return std::nullopt; }
  virtual std::string type() const = 0;  // as the configuration spells it
  const NamedTensors& parameters() const { return parameters_; }

  OptimizerState state();  // the tensors are the optimizer's own: store them before the next step
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
  virtual std::map<std::string, double*> scalars() { return {}; }
  // What a gradient does to a parameter and its state.
  virtual void update(Tensor parameter, Tensor gradient, ParameterState& state) = 0;
  // f(parameter, gradient, state), both detached, of every parameter that has a gradient.
  template <class F>
  void for_each_gradient(const F& f) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const Tensor& parameter = parameters_[i].second;
      if (parameter.grad().defined()) f(parameter.detach(), parameter.grad().detach(), states_[i]);
    }
  }

  double lr_;

 private:
  ParameterState read_state(const std::map<std::string, Tensor>& from, int64_t step,
                            size_t parameter) const;

  NamedTensors parameters_;
  std::vector<ParameterState> states_;  // in the order of the parameters
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

// Those there are, each in its file.
OptimizerMaker prodigy(const OptimizerConfig& config);
OptimizerMaker adamw(const OptimizerConfig& config);
OptimizerMaker sgd(const OptimizerConfig& config);

template <class Kind, class Options>
OptimizerMaker maker_of(const Options& options) {
  return [options](NamedTensors parameters) {
    return std::make_unique<Kind>(std::move(parameters), options);
  };
}

// Which values an option may have, and how an error says so.
struct OptionRange {
  bool (*good)(double value);
  const char* expected;
};
constexpr OptionRange kAnyNumber = {[](double) { return true; }, ""};
constexpr OptionRange kNotBelow0 = {[](double v) { return v >= 0; }, "a number not below 0"};
constexpr OptionRange kAbove0 = {[](double v) { return v > 0; }, "a number above 0"};
constexpr OptionRange k0ToBelow1 = {[](double v) { return v >= 0 && v < 1; }, "0 to below 1"};

using Betas = std::pair<double, double>;  // each 0 to below 1

// Reads options by name, each into a variable that holds its default, and, at the end, complains
// about those that nobody asked for. Throws UsageError: of another type, out of its range.
class OptimizerSettings {
 public:
  explicit OptimizerSettings(const OptimizerConfig& config) : config_(config) {}

  void read(const std::string& key, bool& value);
  void read(const std::string& key, double& value, const OptionRange& range);
  void read(const std::string& key, std::optional<double>& value, const OptionRange& range);
  void read(const std::string& key, Betas& value);
  void expect_all_used() const;
  // "train.optimizer.params.lr is -1, expected EXPECTED" as a UsageError, when `good` is false.
  void check(bool good, const std::string& key, double value, const std::string& expected) const;

 private:
  // The value; nullptr: not given, or null. Of another type it is an error.
  template <class T>
  const T* find(const std::string& key, const char* expected);

  const OptimizerConfig& config_;
  std::vector<std::string> known_;
};

}  // namespace icedit
