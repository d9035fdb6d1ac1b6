#include "adapters/adapter_groups.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/error.h"
#include "io/json_file.h"
#include "models/flux/names.h"
#include "nn/weights.h"

namespace icedit {
namespace {

// All that a file has for one of its modules.
struct Group {
  AdapterKey key;                                                  // of its first tensor
  std::map<std::pair<AdapterRole, int64_t>, std::string> tensors;  // (role, expert) -> name

  const std::string* find(AdapterRole role, int64_t expert = -1) const {
    const auto found = tensors.find({role, expert});
    return found == tensors.end() ? nullptr : &found->second;
  }
  // A file with two copies of an adapter is read as diffusers does: its own names win, then
  // OneTrainer's.
  int preference() const {
    return key.prefix == "transformer." ? 0 : key.prefix == "lora_transformer_" ? 1 : 2;
  }
};

class Grouping {
 public:
  Grouping(std::shared_ptr<const SafetensorsFile> file, const PeftConfig* config,
           const AdapterFileOptions& options);

  void add(const AdapterTensor& tensor);
  void finish(AdapterFile& out);

 private:
  void finish_module(const Group& group, AdapterFile& out);
  AdapterModule factors(const Group& group) const;
  void add_expert(const Group& group, int64_t expert, AdapterModule& module) const;
  Tensor matrix(const std::string& name) const;
  std::optional<double> alpha_tensor(const Group& group) const;
  void set_alpha(AdapterModule& module, std::optional<double> from_tensor);
  bool taken(const std::string& module, const Group& group);
  [[noreturn]] void fail(const std::string& tensor, const std::string& what) const {
    throw CheckpointError(str(file_->path().string(), ": tensor '", tensor, "' ", what, "."));
  }

  std::shared_ptr<const SafetensorsFile> file_;
  const PeftConfig* config_;
  std::optional<double> expert_alpha_;  // of mixtures, as the header says
  int64_t top_k_ = 1;
  std::map<std::pair<std::string, std::string>, Group> groups_;  // by (prefix, module)
  std::map<std::string, std::string> taken_;                     // module -> prefix it came with
  size_t without_alpha_ = 0, twice_ = 0;
};

Grouping::Grouping(std::shared_ptr<const SafetensorsFile> file, const PeftConfig* config,
                   const AdapterFileOptions& options)
    : file_(std::move(file)), config_(config) {
  // As ICEdit's loader: an expert's alpha is its rank and one is picked, unless the file (ours
  // says) or the caller knows better.
  const auto ours = file_->metadata().find("icedit_moe");
  if (ours != file_->metadata().end()) {
    const std::string where = file_->path().string() + ": icedit_moe";
    const JsonFile json = JsonFile::parse(ours->second, where);
    if (json.has("expert_alpha")) expert_alpha_ = json.number("expert_alpha");
    if (expert_alpha_ && (!(*expert_alpha_ > 0) || !std::isfinite(*expert_alpha_))) {
      throw CheckpointError(
          str(where, ": 'expert_alpha' is ", *expert_alpha_, "; expected a number above 0"));
    }
    top_k_ = json.integer_or("top_k", 1);
  }
  if (options.top_k > 0) top_k_ = options.top_k;
}

void Grouping::add(const AdapterTensor& tensor) {
  const AdapterKey& key = tensor.key;
  Group& group = groups_[{key.prefix, key.module}];
  if (group.tensors.empty()) group.key = key;
  const auto [place, added] =
      group.tensors.emplace(std::make_pair(key.role, key.expert), tensor.name);
  if (!added)
    fail(tensor.name, str("is the same as '", place->second, "': the file has one layer twice"));
}

void Grouping::finish(AdapterFile& out) {
  std::vector<const Group*> ordered;
  for (const auto& [name, group] : groups_) ordered.push_back(&group);
  std::stable_sort(ordered.begin(), ordered.end(), [](const Group* x, const Group* y) {
    return x->preference() < y->preference();
  });
  for (const Group* group : ordered) finish_module(*group, out);
  out.layout = out.has_router() ? "icedit-moe" : ordered.empty() ? "" : ordered.front()->key.layout;
  const size_t modules = out.modules.size();
  if (without_alpha_ > 0) {
    out.notes.push_back(
        str(out.path.string(), ": no alpha is stated", without_alpha_ < modules ? " for " : "",
            without_alpha_ < modules ? str(without_alpha_, " of ", modules, " modules") : "",
            "; alpha = rank is taken, a scale of 1"));
  }
  if (twice_ > 0) {
    out.notes.push_back(str(out.path.string(), ": ", twice_,
                            " modules are in the file under two names; those named '",
                            ordered.front()->key.prefix, "...' are used"));
  }
}

void Grouping::finish_module(const Group& group, AdapterFile& out) {
  // An alpha alone adapts nothing; whoever wrote it meant a layer that is not here.
  if (group.tensors.size() == 1 && group.tensors.begin()->first.first == AdapterRole::kAlpha) {
    out.unmatched.push_back(group.tensors.begin()->second);
    return;
  }
  const AdapterModule whole = factors(group);
  const auto alpha = alpha_tensor(group);
  const auto targets = adapted_modules(group.key.module);
  const auto rows = part_rows(targets.size(), whole.out(), whole.in());
  if (rows.empty()) {
    fail(whole.tensors[1],
         str("is ", whole.b[0].sizes().vec(), ", which does not divide into the rows of ", targets,
             " (", whole.in(), " each for q, k and v)"));
  }
  for (size_t i = 0; i < targets.size(); ++i) {
    if (taken(targets[i], group)) continue;
    AdapterModule module = whole;
    module.module = targets[i];
    for (Tensor& b : module.b) b = b.slice(0, rows[i].begin, rows[i].end);
    set_alpha(module, alpha);
    out.modules.push_back(std::move(module));
  }
}

// All that a file has for one module, checked against each other.
AdapterModule Grouping::factors(const Group& group) const {
  AdapterModule module;
  const auto* route = group.find(AdapterRole::kRoute);
  const auto expert = std::find_if(group.tensors.begin(), group.tensors.end(),
                                   [](const auto& tensor) { return tensor.first.second >= 0; });
  if (route == nullptr && expert != group.tensors.end())
    fail(expert->second, "belongs to a mixture of experts without a lora_route");
  if (route != nullptr) module.route = matrix(*route);
  const int64_t experts = route != nullptr ? module.route.size(0) : 1;
  for (int64_t e = 0; e < experts; ++e) add_expert(group, route != nullptr ? e : -1, module);
  if (route != nullptr) module.tensors.push_back(*route);
  if (const auto* alpha = group.find(AdapterRole::kAlpha)) module.tensors.push_back(*alpha);
  if (group.tensors.size() != module.tensors.size()) {
    fail(*route,
         str("routes to ", experts, " experts, but the module has ", group.tensors.size() - 1,
             " other tensors; expected two for each expert and nothing else"));
  }
  if (route == nullptr) return module;
  module.top_k = top_k_;
  if (top_k_ < 1 || top_k_ > experts) {
    throw UsageError(str(file_->path().string(), ": top_k is ", top_k_,
                         ", expected 1 to the number of experts, ", experts));
  }
  return module;
}

// `expert` is -1 where there is no router.
void Grouping::add_expert(const Group& group, int64_t expert, AdapterModule& module) const {
  const auto* down = group.find(AdapterRole::kDown, expert);
  const auto* up = group.find(AdapterRole::kUp, expert);
  if (down == nullptr && up == nullptr) {
    fail(group.tensors.begin()->second,
         str("expects expert_", expert, " in the same module, which is not in the file"));
  }
  if (down == nullptr) fail(*up, "has no lora_A (lora_down) beside it; the file is incomplete");
  if (up == nullptr) fail(*down, "has no lora_B (lora_up) beside it; the file is incomplete");
  const Tensor a = matrix(*down);
  Tensor b = matrix(*up);
  if (a.size(0) != b.size(1)) {
    fail(*up, str("is ", b.sizes().vec(), ", expected ", a.size(0), " columns, the rank of '",
                  *down, "'"));
  }
  const bool first = module.a.empty();
  if (module.has_router() &&
      (a.size(1) != module.route.size(1) || (!first && a.sizes() != module.a[0].sizes()))) {
    fail(*down,
         str("is ", a.sizes().vec(), ", expected ", first ? "[rank" : str("[", module.rank()), ", ",
             module.route.size(1), "], as the router and the other experts have"));
  }
  if (!first && b.sizes() != module.b[0].sizes()) {
    fail(*up, str("is ", b.sizes().vec(), ", expected ", module.b[0].sizes().vec(),
                  ", as the first expert's"));
  }
  if (halves_are_swapped(group.key.module)) {
    if (b.size(0) % 2 != 0) fail(*up, str("has ", b.size(0), " rows, expected an even number"));
    const auto halves = b.chunk(2, 0);
    b = at::cat({halves[1], halves[0]}, 0);
  }
  module.a.push_back(a);
  module.b.push_back(b);
  module.tensors.insert(module.tensors.end(), {*down, *up});
}

Tensor Grouping::matrix(const std::string& name) const {
  const TensorInfo& info = file_->info(name);
  if (info.shape.size() == 2 && info.numel() == 0) {
    fail(name, str("is ", info.shape,
                   ", without any value: a layer of rank 0 changes nothing; "
                   "the file was cut down too far or never trained"));
  }
  if (info.shape.size() != 2) fail(name, str("is ", info.shape, ", expected a matrix"));
  Tensor tensor = mapped_tensor({file_->mapping(), name, info});
  if (!tensor.is_floating_point())
    fail(name, str("is ", dtype_name(info.dtype), ", expected floating point"));
  if (tensor.element_size() == 1) tensor = tensor.to(at::kBFloat16);  // fp8 is exact in it
  if (!at::isfinite(tensor).all().item<bool>()) {
    fail(name, "has NaN or infinite values; the file is damaged or the training diverged");
  }
  return tensor;
}

std::optional<double> Grouping::alpha_tensor(const Group& group) const {
  const auto* name = group.find(AdapterRole::kAlpha);
  if (name == nullptr) return std::nullopt;
  const TensorInfo& info = file_->info(*name);
  if (info.numel() != 1) fail(*name, str("is ", info.shape, ", expected one number"));
  const double alpha =
      mapped_tensor({file_->mapping(), *name, info}).to(at::kDouble).item<double>();
  if (!(alpha > 0) || !std::isfinite(alpha))
    fail(*name, str("is ", alpha, ", expected a number above 0"));
  return alpha;
}

void Grouping::set_alpha(AdapterModule& module, std::optional<double> from_tensor) {
  const double rank = double(module.rank());
  std::optional<double> alpha = from_tensor;
  if (module.has_router()) {
    module.alpha = alpha.value_or(expert_alpha_.value_or(rank));
    return;
  }
  if (!alpha && config_ != nullptr) {
    if (config_->rank(module.module).value_or(rank) != rank) {
      fail(module.tensors[0],
           str("has rank ", rank, ", but ", config_->where(), " says ",
               *config_->rank(module.module), "; the two files do not belong together"));
    }
    module.rslora = config_->rslora();
    alpha = config_->alpha(module.module);
  }
  if (!alpha) ++without_alpha_;
  module.alpha = alpha.value_or(rank);
}

bool Grouping::taken(const std::string& module, const Group& group) {
  const auto [place, added] = taken_.emplace(module, group.key.prefix);
  if (added) return false;
  if (place->second == group.key.prefix) {
    fail(group.tensors.begin()->second,
         str("is for ", module, ", which another tensor of the file adapts already"));
  }
  ++twice_;
  return true;
}

}  // namespace

void group_modules(const std::shared_ptr<const SafetensorsFile>& file,
                   const std::vector<AdapterTensor>& tensors, const PeftConfig* config,
                   const AdapterFileOptions& options, AdapterFile& out) {
  Grouping grouping(file, config, options);
  for (const AdapterTensor& tensor : tensors) grouping.add(tensor);
  grouping.finish(out);
}

}  // namespace icedit
