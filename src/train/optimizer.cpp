#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"

namespace icedit {
namespace {

constexpr const char* kWhere = "train.optimizer.params.";

double scalar_of(const OptimizerState& state, const std::string& name) {
  const auto found = state.scalars.find(name);
  if (found != state.scalars.end()) return found->second;
  throw CheckpointError(
      str("the optimizer's state lacks '", name,
          "': it was written by another optimizer or for another adapter; resume with the "
          "configuration that the run began with"));
}

}  // namespace

Optimizer::Optimizer(NamedTensors parameters, double lr)
    : lr_(lr), parameters_(std::move(parameters)), states_(parameters_.size()) {
  if (parameters_.empty())
    throw UsageError("the optimizer was given no parameter: does target_modules match anything?");
  std::set<std::string> names;
  for (const auto& [name, tensor] : parameters_) {
    if (!names.insert(name).second)
      throw UsageError(str("the optimizer was given the parameter '", name, "' twice"));
    if (!tensor.defined() || !tensor.is_leaf() || !tensor.requires_grad())
      throw UsageError(str("the optimizer was given '", name, "', which can have no gradient"));
  }
}

void Optimizer::zero_grad() {
  for (auto& [name, tensor] : parameters_) tensor.mutable_grad() = Tensor();
}

void Optimizer::step() {
  const c10::NoGradGuard no_grad;
  for_each_gradient([this](const Tensor& parameter, const Tensor& gradient, ParameterState& state) {
    update(parameter, gradient, state);
  });
}

OptimizerState Optimizer::state() {
  OptimizerState state;
  state.scalars["lr"] = lr_;
  for (const auto& [name, value] : scalars()) state.scalars[name] = *value;
  for (size_t i = 0; i < states_.size(); ++i) {
    const std::string& name = parameters_[i].first;
    if (states_[i].tensors.empty() && states_[i].step == 0) continue;
    state.scalars[name + ".step"] = double(states_[i].step);
    for (const auto& [key, tensor] : states_[i].tensors)
      state.tensors.emplace_back(str(name, ".", key), tensor);
  }
  return state;
}

ParameterState Optimizer::read_state(const std::map<std::string, Tensor>& from, int64_t step,
                                     size_t parameter) const {
  const auto& [name, tensor] = parameters_[parameter];
  ParameterState state;
  state.step = step;
  for (const Entry& entry : entries(tensor)) {
    const std::string full = str(name, ".", entry.name);
    const auto found = from.find(full);
    if (found == from.end())
      throw CheckpointError(str("the optimizer's state lacks '", full, "': it was not written by ",
                                type(), " with these settings"));
    const Tensor& stored = found->second;
    const bool fits = stored.sizes() == entry.shape || (entry.or_scalar && stored.dim() == 0);
    if (!fits || stored.scalar_type() != tensor.scalar_type())
      throw CheckpointError(str("the optimizer's state has '", full, "' as ", stored.sizes().vec(),
                                " of ", at::toString(stored.scalar_type()), ", expected ",
                                entry.shape, " of ", at::toString(tensor.scalar_type()),
                                ": was the run begun with another adapter?"));
    state.tensors[entry.name] = stored.detach().to(tensor.device(), tensor.scalar_type(),
                                                   /*non_blocking=*/false, /*copy=*/true);
  }
  return state;
}

void Optimizer::load(const OptimizerState& from) {
  const std::map<std::string, Tensor> stored(from.tensors.begin(), from.tensors.end());
  std::vector<ParameterState> states(parameters_.size());
  size_t tensors = 0, scalar_count = scalars().size() + 1;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto steps = from.scalars.find(parameters_[i].first + ".step");
    if (steps == from.scalars.end()) continue;  // no gradient so far
    states[i] = read_state(stored, int64_t(steps->second), i);
    tensors += states[i].tensors.size();
    ++scalar_count;
  }
  const double lr = scalar_of(from, "lr");
  std::map<double*, double> values;
  for (const auto& [name, value] : scalars()) values[value] = scalar_of(from, name);
  if (tensors != from.tensors.size() || scalar_count != from.scalars.size())
    throw CheckpointError(str(
        "the optimizer's state holds ", from.tensors.size(), " tensors and ", from.scalars.size(),
        " figures, of which ", type(), " with these settings and parameters knows ", tensors,
        " and ", scalar_count, ": resume with the configuration that the run began with"));
  for (const auto& [variable, value] : values) *variable = value;
  states_ = std::move(states);
  lr_ = lr;
}

template <class T>
const T* OptimizerSettings::find(const std::string& key, const char* expected) {
  known_.push_back(key);
  const auto found = config_.params.find(key);
  if (found == config_.params.end() || std::holds_alternative<std::monostate>(found->second))
    return nullptr;
  if (const T* value = std::get_if<T>(&found->second)) return value;
  throw UsageError(str(kWhere, key, ": expected ", expected));
}

void OptimizerSettings::read(const std::string& key, bool& value) {
  if (const bool* given = find<bool>(key, "true or false")) value = *given;
}

void OptimizerSettings::read(const std::string& key, double& value, const OptionRange& range) {
  const double* given = find<double>(key, "a number");
  if (!given) return;
  check(range.good(*given), key, *given, range.expected);
  value = *given;
}

void OptimizerSettings::read(const std::string& key, std::optional<double>& value,
                             const OptionRange& range) {
  double given = std::nan("");
  read(key, given, range);
  if (!std::isnan(given)) value = given;
}

void OptimizerSettings::read(const std::string& key, Betas& value) {
  constexpr const char* kExpected = "two numbers, as in [0.9, 0.999]";
  const auto* given = find<std::vector<double>>(key, kExpected);
  if (!given) return;
  if (given->size() != 2) throw UsageError(str(kWhere, key, ": expected ", kExpected));
  for (const size_t i : {0, 1})
    check(k0ToBelow1.good((*given)[i]), str(key, "[", i, "]"), (*given)[i], k0ToBelow1.expected);
  value = {(*given)[0], (*given)[1]};
}

void OptimizerSettings::check(bool good, const std::string& key, double value,
                              const std::string& expected) const {
  if (!good) throw UsageError(str(kWhere, key, " is ", value, ", expected ", expected));
}

void OptimizerSettings::expect_all_used() const {
  for (const auto& [key, value] : config_.params) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end())
      throw UsageError(str(kWhere, key, " is unknown; ", config_.type, " has ", known_));
  }
}

OptimizerMaker optimizer_maker(const OptimizerConfig& config) {
  if (config.type == "Prodigy") return prodigy(config);
  if (config.type == "AdamW") return adamw(config);
  if (config.type == "SGD") return sgd(config);
  throw UsageError(
      str("train.optimizer.type is '", config.type, "', expected Prodigy, AdamW or SGD"));
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, NamedTensors parameters) {
  return optimizer_maker(config)(std::move(parameters));
}

}  // namespace icedit
