#include "train/adapter_setup.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "adapters/targets.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/log.h"
#include "io/hub.h"

namespace icedit {
namespace {

class Factors {
 public:
  Factors(const LoraConfig& config, uint64_t seed)
      : gaussian_(config.init_lora_weights == "gaussian"),
        generator_(at::detail::createCPUGenerator(seed)) {}

  Tensor a(int64_t rank, int64_t in) {
    if (!gaussian_) return uniform(rank, in);
    return at::randn({rank, in}, generator_, at::kFloat) / double(rank);
  }
  // torch's Linear: kaiming-uniform with a = sqrt(5), which is +-1 / sqrt(in).
  Tensor uniform(int64_t out, int64_t in) {
    const double bound = 1 / std::sqrt(double(in));
    return at::rand({out, in}, generator_, at::kFloat) * (2 * bound) - bound;
  }

 private:
  bool gaussian_;
  at::Generator generator_;
};

AdapterModule fresh_module(const std::string& path, const Shape& shape, const LoraConfig& c,
                           bool experts, Factors& factors) {
  const int64_t out = shape.at(0), in = shape.at(1), rank = experts ? c.expert_rank : c.r;
  AdapterModule module;
  module.module = path;
  if (experts) module.route = factors.uniform(c.num_experts, in);
  for (int64_t e = 0; e < (experts ? c.num_experts : 1); ++e) {
    module.a.push_back(factors.a(rank, in));
    module.b.push_back(at::zeros({out, rank}));
  }
  module.alpha = experts ? c.expert_alpha : c.lora_alpha;
  if (experts) module.top_k = c.top_k;
  for (const auto& [name, tensor] : tensors_of({module})) module.tensors.push_back(name);
  return module;
}

// Compares an adapter to start from with what the configuration says of it: what it says otherwise
// would have no effect, and the run's configuration would not be true.
void expect_agreement(const AdapterFile& file, const TrainConfig& config,
                      const LinearShapes& linears) {
  const LoraConfig& lora = config.lora;
  const auto fail = [&config](const auto&... what) {
    throw UsageError(str("train.init_lora ", config.init_lora, " ", what...));
  };
  std::set<std::string> there;
  std::set<double> ranks, alphas, expert_ranks, expert_alphas, experts;
  for (const AdapterModule& module : file.modules) {
    const bool mixture = module.has_router();
    there.insert(module.module);
    (mixture ? expert_ranks : ranks).insert(double(module.rank()));
    (mixture ? expert_alphas : alphas).insert(module.alpha);
    if (mixture) experts.insert(double(module.experts()));
  }
  std::set<std::string> wanted = there;
  if (!lora.target_modules.empty()) {
    const std::vector<std::string> targets = targets_of(linears, lora);
    wanted = {targets.begin(), targets.end()};
  }
  const std::string remedy = "; leave target_modules out to train the layers that the file has";
  for (const std::string& module : wanted)
    if (there.count(module) == 0)
      fail("has no layer for '", module, "', which target_modules match", remedy);
  for (const std::string& module : there)
    if (wanted.count(module) == 0)
      fail("has a layer for '", module, "', which target_modules do not match", remedy);
  // A file whose layers differ among each other cannot be said in one number: they stay as they
  // are.
  const auto expect_value = [&fail](const char* key, const std::set<double>& values, double said) {
    if (values.size() == 1 && *values.begin() != said)
      fail("has ", key, " ", *values.begin(), ", but train.lora_config.", key, " is ", said,
           "; set it to ", *values.begin());
  };
  expect_value("r", ranks, double(lora.r));
  expect_value("lora_alpha", alphas, lora.lora_alpha);
  expect_value("expert_rank", expert_ranks, double(lora.expert_rank));
  expect_value("expert_alpha", expert_alphas, lora.expert_alpha);
  expect_value("num_experts", experts, double(lora.num_experts));
}

AttachOptions attach_options() {
  AttachOptions attach;
  attach.trainable = attach.allow_zero = true;
  return attach;
}

void expect_experts(const std::vector<std::string>& targets, const LoraConfig& config) {
  for (const std::string& module : targets)
    if (gets_experts(module, config)) return;
  throw UsageError(str("train.lora_config.expert_modules ", config.expert_modules,
                       " are in the path of none of the ", targets.size(),
                       " modules that target_modules matches; the first is ", targets[0]));
}

[[noreturn]] void fail_for_dtype(const std::string& name, at::ScalarType type) {
  throw UsageError(str("train.mode full trains in f32, but ", name, " is ", at::toString(type),
                       "; set dtype: float32"));
}

// Every tensor of the model becomes a leaf: the Linears' through them, the rest where they are.
NamedTensors train_all(FluxTransformer& model) {
  NamedTensors parameters;
  std::set<std::string> done;
  const auto add = [&](const std::string& name, const Tensor& tensor) {
    if (tensor.scalar_type() != at::kFloat) fail_for_dtype(name, tensor.scalar_type());
    done.insert(name);
    parameters.emplace_back(name, tensor);
  };
  for (auto& [path, linear] : model.linears()) {
    const std::vector<Tensor> weights = linear.train_weights();
    add(path + ".weight", weights[0]);
    if (weights.size() > 1) add(path + ".bias", weights[1]);
  }
  for (const auto& [name, tensor] : model.weights().loaded()) {
    if (done.count(name) != 0) continue;
    tensor.set_data(tensor.detach().clone());  // it may look at the file
    tensor.requires_grad_(true);
    add(name, tensor);
  }
  return parameters;
}

}  // namespace

std::vector<std::string> targets_of(const LinearShapes& linears, const LoraConfig& config) {
  std::vector<std::string> names;
  for (const auto& [path, shape] : linears) names.push_back(path);
  const auto& targets = config.target_modules;
  return targets.size() == 1 && !config.target_list ? match_targets(names, targets[0])
                                                    : match_targets(names, targets);
}

bool gets_experts(const std::string& module, const LoraConfig& config) {
  return std::any_of(
      config.expert_modules.begin(), config.expert_modules.end(),
      [&module](const std::string& part) { return module.find(part) != std::string::npos; });
}

AdapterFile fresh_adapter(const LinearList& linears, const LoraConfig& config, bool experts,
                          uint64_t seed) {
  const std::vector<std::string> targets = targets_of(shapes_of(linears), config);
  const std::set<std::string> wanted(targets.begin(), targets.end());
  Factors factors(config, seed);
  AdapterFile file;
  file.path = "fresh adapter";
  file.layout = experts ? "icedit-moe" : "diffusers";
  for (const auto& [path, linear] : linears) {
    if (wanted.count(path) == 0) continue;
    file.modules.push_back(fresh_module(path, {linear.out(), linear.in()}, config,
                                        experts && gets_experts(path, config), factors));
  }
  if (experts) expect_experts(targets, config);
  return file;
}

std::optional<AdapterFile> init_lora(const LinearShapes& linears, const TrainConfig& config) {
  if (config.init_lora.empty()) return std::nullopt;
  const bool mixture = config.mode == TrainMode::kMoeLora;
  AdapterFileOptions options;
  options.top_k = mixture ? config.lora.top_k : 0;
  AdapterFile file =
      AdapterFile::open(resolve_path_or_id(config.init_lora, "train.init_lora"), options);
  if (file.has_router() != mixture)
    throw UsageError(str("train.init_lora ", config.init_lora, " is ",
                         file.has_router() ? "a mixture of experts" : "a plain LoRA",
                         "; set train.mode to ", file.has_router() ? "moe_lora" : "lora"));
  expect_fit(fit_adapter(linears, file), attach_options());
  expect_agreement(file, config, linears);
  return file;
}

Trainable make_trainable(FluxTransformer& model, const TrainConfig& config,
                         const std::optional<AdapterFile>& start, bool quiet) {
  Trainable trainable;
  if (config.mode == TrainMode::kFull) {
    trainable.parameters = train_all(model);
  } else {
    AttachOptions attach = attach_options();
    attach.quiet = quiet;
    trainable.adapter = attach_adapter(
        model.linears(),
        start ? *start
              : fresh_adapter(model.linears(), config.lora, config.mode == TrainMode::kMoeLora,
                              uint64_t(config.seed)),
        attach);
    trainable.parameters = trainable.adapter->tensors();
  }
  int64_t count = 0;
  for (const auto& [name, tensor] : trainable.parameters) count += tensor.numel();
  log::info(
      str("training ", count, " parameters in ", counted(trainable.parameters.size(), "tensor")));
  return trainable;
}

std::optional<AdapterFile> expect_trainable(const Residency& residency, const TrainConfig& config) {
  if (config.mode == TrainMode::kFull) {
    const at::ScalarType type = residency.precision().compute;
    if (type != at::kFloat) fail_for_dtype("the transformer", type);
    return std::nullopt;
  }
  const LinearShapes linears = shapes_of(residency.files().open(Part::kTransformer).checkpoint);
  std::optional<AdapterFile> start = init_lora(linears, config);
  if (start) return start;
  const std::vector<std::string> targets = targets_of(linears, config.lora);
  if (config.mode == TrainMode::kMoeLora) expect_experts(targets, config.lora);
  return start;
}

}  // namespace icedit
