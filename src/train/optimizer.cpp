#include "train/optimizer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "train/adamw.h"
#include "train/prodigy.h"
#include "train/sgd.h"

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

template <class Kind, class Options>
OptimizerMaker maker(const Options& options) {
  return [options](NamedTensors parameters) {
    return std::make_unique<Kind>(std::move(parameters), options);
  };
}

}  // namespace

Optimizer::Optimizer(NamedTensors parameters, double lr)
    : parameters_(std::move(parameters)), states_(parameters_.size()), lr_(lr) {
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

OptimizerState Optimizer::state() const {
  OptimizerState state;
  state.scalars = scalars();
  state.scalars["lr"] = lr_;
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
  for (const auto& [name, value] : scalars()) scalar_of(from, name);
  if (tensors != from.tensors.size() || scalar_count != from.scalars.size())
    throw CheckpointError(str(
        "the optimizer's state holds ", from.tensors.size(), " tensors and ", from.scalars.size(),
        " figures, of which ", type(), " with these settings and parameters knows ", tensors,
        " and ", scalar_count, ": resume with the configuration that the run began with"));
  set_scalars(from.scalars);
  states_ = std::move(states);
  lr_ = lr;
}

const OptimizerParam* Settings::find(const std::string& key) {
  known_.push_back(key);
  const auto found = config_.params.find(key);
  if (found == config_.params.end() || std::holds_alternative<std::monostate>(found->second))
    return nullptr;
  return &found->second;
}

bool Settings::given(const std::string& key) {
  return find(key) != nullptr;
}

double Settings::number(const std::string& key, double fallback) {
  const OptimizerParam* setting = find(key);
  if (!setting) return fallback;
  if (const double* value = std::get_if<double>(setting)) return *value;
  throw UsageError(str(kWhere, key, ": expected a number"));
}

bool Settings::boolean(const std::string& key, bool fallback) {
  const OptimizerParam* setting = find(key);
  if (!setting) return fallback;
  if (const bool* value = std::get_if<bool>(setting)) return *value;
  throw UsageError(str(kWhere, key, ": expected true or false"));
}

std::pair<double, double> Settings::two_numbers(const std::string& key,
                                                std::pair<double, double> fallback) {
  const OptimizerParam* setting = find(key);
  if (!setting) return fallback;
  const auto* values = std::get_if<std::vector<double>>(setting);
  if (!values || values->size() != 2)
    throw UsageError(str(kWhere, key, ": expected two numbers, as in [0.9, 0.999]"));
  return {(*values)[0], (*values)[1]};
}

void Settings::check(bool good, const std::string& key, double value,
                     const std::string& expected) const {
  if (!good) throw UsageError(str(kWhere, key, " is ", value, ", expected ", expected));
}

void Settings::expect_all_used() const {
  for (const auto& [key, value] : config_.params) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end())
      throw UsageError(str(kWhere, key, " is unknown; ", config_.type, " has ", known_));
  }
}

OptimizerMaker optimizer_maker(const OptimizerConfig& config) {
  if (config.type == "Prodigy") return maker<Prodigy>(ProdigyOptions::read(config));
  if (config.type == "AdamW") return maker<AdamW>(AdamWOptions::read(config));
  if (config.type == "SGD") return maker<Sgd>(SgdOptions::read(config));
  throw UsageError(
      str("train.optimizer.type is '", config.type, "', expected Prodigy, AdamW or SGD"));
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, NamedTensors parameters) {
  return optimizer_maker(config)(std::move(parameters));
}

}  // namespace icedit
