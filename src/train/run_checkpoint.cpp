#include "train/run_checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

#include "adapters/save.h"
#include "base/error.h"
#include "base/log.h"
#include "io/json.h"
#include "nn/weights.h"
#include "train/checkpoint_folder.h"

namespace icedit {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DataMark, rows, digest)

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kAdapter = "pytorch_lora_weights.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kState = "state.json";
constexpr const char* kGeneratorPrefix = "generator.";  // before their names beside the optimizer's

bool has_adapter(const RunState& state) {
  return !state.adapter.modules.empty();
}

uint64_t bytes_of(const NamedTensors& tensors) {
  uint64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += tensor.nbytes() + name.size() + 100;
  return bytes;
}

// The plain fields of state.json, for writing and for reading: f(key, field, whether older files
// may lack it).
template <class State, class F>
void each_field(State& s, const F& f) {
  constexpr bool kAlways = false, kNotInOlder = true;
  f("step", s.step, kAlways);
  f("epoch", s.epoch, kAlways);
  f("position", s.position, kAlways);
  f("draw_state", s.draw_state, kAlways);
  f("fingerprint", s.settings, kAlways);
  f("working_folder", s.working_folder, kNotInOlder);
  f("ranks", s.ranks, kNotInOlder);
  f("threads", s.threads, kNotInOlder);
  f("data", s.data, kNotInOlder);
}

// JSON has no infinity and no NaN.
json numbers(const std::map<std::string, double>& values) {
  json object = json::object();
  for (const auto& [name, value] : values) {
    if (std::isfinite(value))
      object[name] = value;
    else
      object[name] = std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
  }
  return object;
}

std::map<std::string, double> read_numbers(const json& object) {
  std::map<std::string, double> values;
  for (const auto& [name, value] : object.items())
    values[name] = value.is_string() ? std::strtod(value.get<std::string>().c_str(), nullptr)
                                     : value.get<double>();
  return values;
}

AdapterFile with_values(AdapterFile adapter, const NamedTensors& values) {
  const std::map<std::string, Tensor> by_name(values.begin(), values.end());
  for (AdapterModule& module : adapter.modules) {
    replace_tensors(module, [&](const std::string& name, const Tensor&) {
      const auto found = by_name.find(name);
      if (found != by_name.end()) return found->second;
      throw UsageError(str("the moving averages have no '", name, "', which the adapter has"));
    });
  }
  return adapter;
}

void save_transformer(const Path& folder, const NamedTensors& weights, const std::string& config) {
  save_tensors(folder / "diffusion_pytorch_model.safetensors", weights, {{"format", "pt"}});
  if (!config.empty()) write_text_atomically(folder / "config.json", config);
}

void save_model(const Path& folder, const RunState& state) {
  if (has_adapter(state)) {
    save_adapter(folder / kAdapter, state.adapter, AdapterLayout::kDiffusers);
    if (!state.ema.empty()) {
      save_adapter(folder / "ema" / kAdapter, with_values(state.adapter, state.ema),
                   AdapterLayout::kDiffusers);
    }
    return;
  }
  save_transformer(folder / "transformer", state.weights, state.transformer_config);
  if (!state.ema.empty()) {
    save_transformer(folder / "ema" / "transformer", state.ema, state.transformer_config);
  }
}

void save_state(const Path& folder, const RunState& state) {
  NamedTensors tensors = state.optimizer.tensors;
  for (const auto& [name, tensor] : state.generators)
    tensors.emplace_back(kGeneratorPrefix + name, tensor);
  save_tensors(folder / kOptimizer, tensors);
  json content = {{"ema", !state.ema.empty()},
                  {"optimizer", numbers(state.optimizer.scalars)},
                  {"figures", numbers(state.figures)}};
  each_field(state, [&](const char* key, const auto& field, bool) { content[key] = field; });
  write_text_atomically(folder / kState, dumped(content, 2) + "\n");
}

void read_model(const Path& folder, bool ema, RunState& state) {
  if (fs::exists(folder / kAdapter)) {
    state.adapter = AdapterFile::open(folder / kAdapter);
    if (ema) state.ema = tensors_of(AdapterFile::open(folder / "ema" / kAdapter).modules);
    return;
  }
  const Path file = Path("transformer") / "diffusion_pytorch_model.safetensors";
  state.weights = load_tensors(folder / file);
  if (ema) state.ema = load_tensors(folder / "ema" / file);
  const Path config = folder / "transformer" / "config.json";
  if (fs::exists(config)) state.transformer_config = read_file(config);
}

// Whole files only: their sums were compared.
RunState read_state(const Path& folder) try {
  const json content = json::parse(read_file(folder / kState));
  RunState state;
  each_field(state, [&](const char* key, auto& field, bool may_lack) {
    if (!may_lack || content.contains(key)) content.at(key).get_to(field);
  });
  state.optimizer.scalars = read_numbers(content.at("optimizer"));
  state.figures = read_numbers(content.at("figures"));
  for (auto& [name, tensor] : load_tensors(folder / kOptimizer)) {
    if (name.starts_with(kGeneratorPrefix)) {
      state.generators.emplace_back(name.substr(std::string(kGeneratorPrefix).size()), tensor);
    } else {
      state.optimizer.tensors.emplace_back(name, tensor);
    }
  }
  read_model(folder, content.at("ema").get<bool>(), state);
  return state;
} catch (const json::exception& error) {
  throw CheckpointError(str((folder / kState).string(),
                            " is not as this version of icedit writes it: ", error.what()));
}

// A checkpoint that was asked for by its name is that one.
void expect_step(const Path& place) {
  std::error_code ignored;
  if (step_number(place) < 0 || fs::is_directory(place, ignored)) return;
  const Path run = run_folder_of(place);
  std::vector<std::string> there;
  for (const Path& step : step_folders(run)) there.push_back(step.filename().string());
  throw NoInputError(str(place.string(), " is not there: it was never saved, or is older than the ",
                         "last train.keep_checkpoints; ", run.string(),
                         there.empty() ? " has no checkpoint" : str(" has ", there)));
}

}  // namespace

Path save_checkpoint(const Path& run_folder, const RunState& state, int keep_last,
                     WholeSteps* known) {
  if (!has_adapter(state) && state.weights.empty()) {
    throw UsageError(str(run_folder.string(), ": there is nothing trained to save"));
  }
  constexpr uint64_t kHeaders = 1 << 20;
  const uint64_t needed = bytes_of(tensors_of(state.adapter.modules)) + bytes_of(state.weights) +
                          bytes_of(state.ema) + bytes_of(state.optimizer.tensors) +
                          bytes_of(state.generators) + kHeaders;
  const Path folder = write_step_folder(run_folder, state.step, needed, [&](const Path& fresh) {
    save_model(fresh, state);
    save_state(fresh, state);
  });
  WholeSteps own;
  WholeSteps& whole = known != nullptr ? *known : own;
  whole.add(folder);
  remove_old_steps(run_folder, state.step, keep_last, whole);
  return folder;
}

LoadedCheckpoint load_checkpoint(const Path& place) {
  expect_step(place);
  const std::vector<Path> folders = step_folders(place);
  if (folders.empty()) {
    throw NoInputError(str(place.string(),
                           ": there is no checkpoint (no folder step-N) to go on "
                           "from; leave out --resume, or name a run's folder"));
  }
  std::string reasons;
  for (size_t i = 0; i < folders.size(); ++i) {
    std::string damage = damage_of(folders[i]);
    if (damage.empty()) try {
        LoadedCheckpoint loaded = {folders[i], read_state(folders[i])};
        if (i > 0) log::warn(str("going on from ", folders[i].string(), " in its place"));
        return loaded;
      } catch (const CheckpointError& error) {  // weights that are not finite, say
        damage = error.what();
      }
    log::warn(str(folders[i].string(), " is damaged and is left alone: ", damage));
    if (i < 3) reasons += str(i ? "; " : "", damage);
  }
  throw CheckpointError(str(place.string(), ": none of ", folders.size(),
                            " checkpoints is whole: ", reasons, folders.size() > 3 ? "; ..." : ""));
}

bool has_checkpoint(const Path& run_folder) {
  return !step_folders(run_folder).empty();
}

void restore_tensors(const NamedTensors& from, const NamedTensors& into, const std::string& where) {
  const c10::NoGradGuard no_grad;
  std::map<std::string, Tensor> values(from.begin(), from.end());
  std::vector<std::pair<Tensor, Tensor>> pairs;
  for (const auto& [name, tensor] : into) {
    const auto found = values.find(name);
    if (found == values.end()) {
      throw CheckpointError(str(where, " has no '", name,
                                "', which is trained here; was it made "
                                "with other target_modules or another mode?"));
    }
    const Tensor& value = found->second;
    if (value.sizes() != tensor.sizes() || value.scalar_type() != tensor.scalar_type()) {
      throw CheckpointError(str(where, ": '", name, "' is ", value.sizes().vec(), " of ",
                                at::toString(value.scalar_type()), ", expected ",
                                tensor.sizes().vec(), " of ", at::toString(tensor.scalar_type()),
                                "; was it trained with another rank or another model?"));
    }
    pairs.emplace_back(tensor, value);
    values.erase(found);
  }
  if (!values.empty()) {
    throw CheckpointError(str(where, " has '", values.begin()->first, "'",
                              values.size() > 1 ? str(" and ", values.size() - 1, " more") : "",
                              ", which is not trained here; was it made with other "
                              "target_modules or another mode?"));
  }
  for (auto& [tensor, value] : pairs) tensor.copy_(value);
}

}  // namespace icedit
