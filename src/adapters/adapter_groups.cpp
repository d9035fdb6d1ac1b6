#include "adapters/adapter_groups.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "io/json_file.h"
#include "models/flux/names.h"
#include "nn/weights.h"

namespace icedit {
namespace {

// A file with two copies of an adapter is read as diffusers does: its own names win, then
// OneTrainer's.
int preference(const AdapterKey& key) {
  return key.prefix == "transformer." ? 0 : key.prefix == "lora_transformer_" ? 1 : 2;
}

const std::string* find(const std::map<std::pair<AdapterRole, int64_t>, std::string>& tensors,
                        AdapterRole role, int64_t expert) {
  const auto found = tensors.find({role, expert});
  return found == tensors.end() ? nullptr : &found->second;
}

}  // namespace

AdapterGroups::AdapterGroups(std::shared_ptr<const SafetensorsFile> file, const PeftConfig* config,
                             const AdapterFileOptions& options)
    : file_(std::move(file)), config_(config), options_(options) {}

void AdapterGroups::add(const std::string& tensor, const AdapterKey& key) {
  Group& group = groups_[{key.prefix, key.module}];
  if (group.tensors.empty()) group.key = key;
  const auto [place, added] = group.tensors.emplace(std::make_pair(key.role, key.expert), tensor);
  if (!added)
    fail(tensor, str("is the same as '", place->second, "': the file has one layer twice"));
}

void AdapterGroups::finish(AdapterFile& out) {
  std::vector<const Group*> ordered;
  for (const auto& [name, group] : groups_) ordered.push_back(&group);
  std::stable_sort(ordered.begin(), ordered.end(), [](const Group* x, const Group* y) {
    return preference(x->key) < preference(y->key);
  });
  for (const Group* group : ordered) {
    const bool mixture =
        std::any_of(group->tensors.begin(), group->tensors.end(), [](const auto& tensor) {
          return tensor.first.second >= 0 || tensor.first.first == AdapterRole::kRoute;
        });
    mixture ? finish_moe(*group, out) : finish_lora(*group, out);
  }
  out.layout = !out.moe.empty() ? "icedit-moe" : ordered.empty() ? "" : ordered.front()->key.layout;
  const size_t modules = out.lora.size() + out.moe.size();
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
  if (last_alphas_ > 0) {
    out.notes.push_back(
        str(out.path.string(), ": the alpha of the final layer is ignored, as diffusers does"));
  }
}

void AdapterGroups::finish_lora(const Group& group, AdapterFile& out) {
  // An alpha alone adapts nothing; whoever wrote it meant a layer that is not here.
  if (group.tensors.size() == 1 && group.tensors.begin()->first.first == AdapterRole::kAlpha) {
    out.unmatched.push_back(group.tensors.begin()->second);
    return;
  }
  LoraModule whole = factors(group, -1);
  const auto alpha = alpha_tensor(group);
  if (const auto* name = find(group.tensors, AdapterRole::kAlpha, -1))
    whole.tensors.push_back(*name);
  const auto targets = adapted_modules(group.key.module);
  const auto rows = part_rows(targets.size(), whole.b.size(0), whole.a.size(1));
  if (rows.empty()) {
    fail(whole.tensors[1],
         str("is ", whole.b.sizes().vec(), ", which does not divide into the rows of ", targets,
             " (", whole.a.size(1), " each for q, k and v)"));
  }
  if (halves_are_swapped(group.key.module)) {
    if (whole.b.size(0) % 2 != 0)
      fail(whole.tensors[1], str("has ", whole.b.size(0), " rows, expected an even number"));
    const auto halves = whole.b.chunk(2, 0);
    whole.b = at::cat({halves[1], halves[0]}, 0);
  }
  for (size_t i = 0; i < targets.size(); ++i) {
    if (taken(targets[i], group)) continue;
    LoraModule lora = whole;
    lora.module = targets[i];
    lora.b = whole.b.slice(0, rows[i].begin, rows[i].end);
    set_alpha(lora, alpha);
    out.lora.push_back(std::move(lora));
  }
}

void AdapterGroups::finish_moe(const Group& group, AdapterFile& out) {
  const auto* route = find(group.tensors, AdapterRole::kRoute, -1);
  if (route == nullptr)
    fail(group.tensors.begin()->second, "belongs to a mixture of experts without a lora_route");
  MoeModule moe;
  moe.module = group.key.module;
  moe.route = matrix(*route);
  moe.tensors.push_back(*route);
  const int64_t experts = moe.route.size(0);
  for (int64_t e = 0; e < experts; ++e) {
    LoraModule lora = factors(group, e);
    if (lora.a.size(1) != moe.route.size(1) || (e > 0 && lora.a.sizes() != moe.a[0].sizes())) {
      fail(lora.tensors[0], str("is ", lora.a.sizes().vec(), ", expected ",
                                moe.a.empty() ? "[rank" : str("[", moe.a[0].size(0)), ", ",
                                moe.route.size(1), "], as the router and the other experts have"));
    }
    if (e > 0 && lora.b.sizes() != moe.b[0].sizes()) {
      fail(lora.tensors[1], str("is ", lora.b.sizes().vec(), ", expected ", moe.b[0].sizes().vec(),
                                ", as the first expert's"));
    }
    moe.a.push_back(lora.a);
    moe.b.push_back(lora.b);
    moe.tensors.insert(moe.tensors.end(), lora.tensors.begin(), lora.tensors.end());
  }
  if (group.tensors.size() != moe.tensors.size()) {
    fail(*route,
         str("routes to ", experts, " experts, but the module has ", group.tensors.size() - 1,
             " other tensors; expected two for each expert and nothing else"));
  }
  // As ICEdit's loader: alpha is the rank and one expert is picked, unless the file (ours says) or
  // the caller knows better.
  moe.alpha = double(moe.a[0].size(0));
  const auto ours = file_->metadata().find("icedit_moe");
  if (ours != file_->metadata().end()) {
    const JsonFile json = JsonFile::parse(ours->second, file_->path().string() + ": icedit_moe");
    moe.alpha = json.number_or("expert_alpha", moe.alpha);
    moe.top_k = json.integer_or("top_k", 1);
    if (!(moe.alpha > 0) || !std::isfinite(moe.alpha))
      fail(*route, str("has an expert_alpha of ", moe.alpha));
  }
  if (options_.top_k > 0) moe.top_k = options_.top_k;
  if (moe.top_k < 1 || moe.top_k > experts) {
    throw UsageError(str(file_->path().string(), ": top_k is ", moe.top_k,
                         ", expected 1 to the number of experts, ", experts));
  }
  if (!taken(moe.module, group)) out.moe.push_back(std::move(moe));
}

// a and b of one layer, checked against each other.
LoraModule AdapterGroups::factors(const Group& group, int64_t expert) const {
  const auto* down = find(group.tensors, AdapterRole::kDown, expert);
  const auto* up = find(group.tensors, AdapterRole::kUp, expert);
  if (down == nullptr && up == nullptr) {
    fail(group.tensors.begin()->second,
         str("expects expert_", expert, " in the same module, which is not in the file"));
  }
  if (down == nullptr) fail(*up, "has no lora_A (lora_down) beside it; the file is incomplete");
  if (up == nullptr) fail(*down, "has no lora_B (lora_up) beside it; the file is incomplete");
  LoraModule lora;
  lora.tensors = {*down, *up};
  lora.a = matrix(*down);
  lora.b = matrix(*up);
  if (lora.a.size(0) != lora.b.size(1)) {
    fail(*up, str("is ", lora.b.sizes().vec(), ", expected ", lora.a.size(0),
                  " columns, the rank of '", *down, "'"));
  }
  return lora;
}

Tensor AdapterGroups::matrix(const std::string& name) const {
  const TensorInfo& info = file_->info(name);
  if (info.shape.size() != 2 || info.numel() == 0)
    fail(name, str("is ", info.shape, ", expected a matrix"));
  Tensor tensor = mapped_tensor({file_->mapping(), name, info});
  if (!tensor.is_floating_point())
    fail(name, str("is ", dtype_name(info.dtype), ", expected floating point"));
  if (tensor.element_size() == 1) tensor = tensor.to(at::kBFloat16);  // fp8 is exact in it
  if (!at::isfinite(tensor).all().item<bool>()) {
    fail(name, "has NaN or infinite values; the file is damaged or the training diverged");
  }
  return tensor;
}

std::optional<double> AdapterGroups::alpha_tensor(const Group& group) {
  const auto* name = find(group.tensors, AdapterRole::kAlpha, -1);
  if (name == nullptr) return std::nullopt;
  const TensorInfo& info = file_->info(*name);
  if (info.numel() != 1) fail(*name, str("is ", info.shape, ", expected one number"));
  const double alpha = mapped_tensor({file_->mapping(), *name, info}).to(at::kDouble).item<double>();
  if (!(alpha > 0) || !std::isfinite(alpha))
    fail(*name, str("is ", alpha, ", expected a number above 0"));
  // diffusers converts the last layer of kohya's files without it.
  if (group.key.module.rfind("final_layer.", 0) != 0) return alpha;
  ++last_alphas_;
  return double(file_->info(*find(group.tensors, AdapterRole::kDown, -1)).shape[0]);
}

void AdapterGroups::set_alpha(LoraModule& lora, std::optional<double> from_tensor) {
  const double rank = double(lora.a.size(0));
  lora.alpha = rank;
  if (from_tensor) {
    lora.alpha = *from_tensor;
    return;
  }
  if (config_ == nullptr) {
    ++without_alpha_;
    return;
  }
  if (config_->rank(lora.module).value_or(rank) != rank) {
    fail(lora.tensors[0],
         str("has rank ", rank, ", but ", config_->where(), " says ", *config_->rank(lora.module),
             "; the two files do not belong together"));
  }
  lora.rslora = config_->rslora();
  if (const auto alpha = config_->alpha(lora.module)) {
    lora.alpha = *alpha;
  } else {
    ++without_alpha_;
  }
}

bool AdapterGroups::taken(const std::string& module, const Group& group) {
  const auto [place, added] = taken_.emplace(module, group.key.prefix);
  if (added) return false;
  if (place->second == group.key.prefix) {
    fail(group.tensors.begin()->second,
         str("is for ", module, ", which another tensor of the file adapts already"));
  }
  ++twice_;
  return true;
}

void AdapterGroups::fail(const std::string& tensor, const std::string& what) const {
  throw CheckpointError(str(file_->path().string(), ": tensor '", tensor, "' ", what, "."));
}

}  // namespace icedit
