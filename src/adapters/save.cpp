#include "adapters/save.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/json.h"
#include "models/flux/names.h"
#include "nn/weights.h"

namespace icedit {
namespace {

// In the order of AdapterLayout. `file`: its name in a folder.
constexpr struct Layout {
  AdapterLayout layout;
  const char *name, *file;
} kLayouts[] = {{AdapterLayout::kDiffusers, "diffusers", kDiffusersFile},
                {AdapterLayout::kPeft, "peft", kPeftFile},
                {AdapterLayout::kKohya, "kohya", "lora.safetensors"}};

template <class T>
T most_common(const std::vector<T>& values) {
  std::map<T, size_t> counts;
  for (const T& value : values) ++counts[value];
  T best = values.front();
  for (const auto& [value, count] : counts) {
    if (count > counts[best]) best = value;
  }
  return best;
}

Json number(double value) {
  return value == double(int64_t(value)) ? Json(int64_t(value)) : Json(value);
}

// The words of peft's LoraConfig. A module that differs from the most common rank or alpha has a
// pattern of its own,
// "^" so that it is not taken for the end of a longer name.
Json lora_config(const AdapterFile& adapter, const std::string& prefix) {
  std::vector<int64_t> ranks;
  std::vector<double> alphas;
  std::vector<const AdapterModule*> plain;
  for (const AdapterModule& module : adapter.modules) {
    if (!module.has_router()) plain.push_back(&module);
  }
  const bool rslora = std::all_of(plain.begin(), plain.end(), [](auto* m) { return m->rslora; });
  for (const AdapterModule* module : plain) {
    ranks.push_back(module->rank());
    // A mixed adapter is written in plain terms: the alpha that gives the same scale.
    const double root = std::sqrt(double(module->rank()));
    alphas.push_back(module->rslora && !rslora ? module->alpha * root : module->alpha);
  }
  const int64_t rank = most_common(ranks);
  const double alpha = most_common(alphas);
  Json rank_pattern = Json::object(), alpha_pattern = Json::object(), targets = Json::array();
  for (size_t i = 0; i < plain.size(); ++i) {
    const std::string& name = plain[i]->module;
    targets.push_back(name);
    if (ranks[i] != rank) rank_pattern["^" + name] = ranks[i];
    if (alphas[i] != alpha) alpha_pattern["^" + name] = number(alphas[i]);
  }
  Json config;
  config[prefix + "alpha_pattern"] = alpha_pattern;
  config[prefix + "bias"] = "none";
  config[prefix + "lora_alpha"] = number(alpha);
  config[prefix + "lora_dropout"] = 0.0;
  config[prefix + "peft_type"] = "LORA";
  config[prefix + "r"] = rank;
  config[prefix + "rank_pattern"] = rank_pattern;
  config[prefix + "target_modules"] = targets;
  config[prefix + "use_dora"] = false;
  config[prefix + "use_rslora"] = rslora;
  return config;
}

// The words of ours; "" where there is no mixture.
std::string moe_config(const AdapterFile& adapter) {
  const AdapterModule* first = nullptr;
  for (const AdapterModule& module : adapter.modules) {
    if (!module.has_router()) continue;
    if (first == nullptr) first = &module;
    if (module.alpha != first->alpha || module.top_k != first->top_k) {
      throw UsageError(str("the mixtures of ", first->module, " and ", module.module,
                           " differ in alpha or top_k, which their file layout cannot say"));
    }
  }
  if (first == nullptr) return "";
  return Json({{"num_experts", first->experts()},
               {"expert_rank", first->rank()},
               {"expert_alpha", number(first->alpha)},
               {"top_k", first->top_k}})
      .dump();
}

// Rows of linear1's MLP part over the hidden size, as in every FLUX.
constexpr int64_t kMlpRatio = 4;

// By their place in the BFL module; null: no adapter.
using Parts = std::vector<const AdapterModule*>;

struct Fused {
  Tensor down, up;
  double alpha;
};

int64_t rows_of_part(const Parts& parts, size_t part, int64_t hidden) {
  if (parts[part] != nullptr) return parts[part]->out();
  return part == 3 ? kMlpRatio * hidden : hidden;
}

bool share_down(const Parts& parts) {
  const AdapterModule* first = parts[0];
  return std::all_of(parts.begin(), parts.end(), [&](const AdapterModule* part) {
    return part != nullptr && first != nullptr && part->scaling() == first->scaling() &&
           part->a[0].equal(first->a[0]);
  });
}

Fused fuse(const Parts& parts) {
  const AdapterModule& one =
      **std::find_if(parts.begin(), parts.end(), [](auto* part) { return part != nullptr; });
  const int64_t hidden = one.in();
  if (share_down(parts)) {
    std::vector<Tensor> ups;
    for (const auto* part : parts) ups.push_back(part->b[0]);
    return {one.a[0], at::cat(ups, 0), one.scaling() * double(one.rank())};
  }
  // The common scaling is the first part's; the others' ups take the difference.
  int64_t rank = 0, rows = 0;
  std::vector<Tensor> downs;
  for (size_t i = 0; i < parts.size(); ++i) {
    rows += rows_of_part(parts, i, hidden);
    if (parts[i] == nullptr) continue;
    rank += parts[i]->rank();
    downs.push_back(parts[i]->a[0].to(one.a[0].scalar_type()));
  }
  Fused fused{at::cat(downs, 0), at::zeros({rows, rank}, one.b[0].options()),
              one.scaling() * double(rank)};
  int64_t row = 0, column = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const int64_t height = rows_of_part(parts, i, hidden);
    if (parts[i] != nullptr) {
      const int64_t width = parts[i]->rank();
      const double ratio = parts[i]->scaling() / one.scaling();
      fused.up.narrow(0, row, height)
          .narrow(1, column, width)
          .copy_(ratio == 1 ? parts[i]->b[0] : parts[i]->b[0] * ratio);
      column += width;
    }
    row += height;
  }
  return fused;
}

// Tensors lora_unet_*.lora_down.weight, .lora_up.weight, .alpha. Parts that BFL fuses share one
// module: their factors are stacked (blocks on the diagonal of lora_up), or shared where they have
// one A already. Parts without an adapter get rows of zeros.
std::vector<std::pair<std::string, Tensor>> kohya_tensors(
    const std::vector<AdapterModule>& modules) {
  std::map<std::string, Parts> fused;
  for (const AdapterModule& lora : modules) {
    const auto place = bfl_part(lora.module);
    if (!place) throw UsageError(str("the kohya layout has no name for the module ", lora.module));
    Parts& parts = fused[place->module];
    parts.resize(place->parts, nullptr);
    parts[place->part] = &lora;
  }
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const auto& [module, parts] : fused) {
    Fused whole = fuse(parts);
    if (halves_are_swapped(module)) {
      const auto halves = whole.up.chunk(2, 0);
      whole.up = at::cat({halves[1], halves[0]}, 0);
    }
    const auto add = [&](AdapterRole role, const Tensor& tensor) {
      tensors.emplace_back(adapter_key(AdapterLayout::kKohya, module, role), tensor);
    };
    add(AdapterRole::kDown, whole.down);
    add(AdapterRole::kUp, whole.up);
    add(AdapterRole::kAlpha, at::scalar_tensor(whole.alpha, at::kFloat));
  }
  return tensors;
}

}  // namespace

AdapterLayout adapter_layout(const std::string& name) {
  for (const Layout& known : kLayouts) {
    if (name == known.name) return known.layout;
  }
  throw UsageError(
      str("adapter layout '", name, "' is not known; expected diffusers, peft or kohya"));
}

std::vector<Path> adapter_files(const Path& path, AdapterLayout layout) {
  if (layout == AdapterLayout::kPeft) return {path / kPeftFile, path / kPeftConfig};
  return {path.extension() == ".safetensors" ? path : path / kLayouts[size_t(layout)].file};
}

AdapterFile content_of(const LoadedAdapter& adapter) {
  AdapterFile content;
  content.path = adapter.name();
  content.layout = "diffusers";
  content.modules = adapter.modules();
  for (AdapterModule& module : content.modules) {
    module.tensors.clear();
    replace_tensors(module, [](const std::string&, const Tensor& tensor) {
      return tensor.detach().to(at::kCPU).clone();
    });
  }
  return content;
}

Path save_adapter(const Path& path, const AdapterFile& adapter, AdapterLayout layout) {
  if (adapter.modules.empty()) throw UsageError(str(path.string(), ": the adapter has no layers"));
  if (adapter.has_router() && layout != AdapterLayout::kDiffusers) {
    throw UsageError(str(path.string(), ": a mixture of experts has no ",
                         kLayouts[size_t(layout)].name, " layout; save it as diffusers"));
  }
  if (layout == AdapterLayout::kPeft && path.extension() == ".safetensors") {
    throw UsageError(str(path.string(),
                         ": a PEFT adapter is a folder of two files; leave out the .safetensors"));
  }
  const std::vector<Path> files = adapter_files(path, layout);
  auto header = adapter.metadata;
  header["format"] = "pt";
  for (const char* ours : {"lora_adapter_metadata", "icedit_moe"}) header.erase(ours);
  if (layout == AdapterLayout::kKohya) {
    header["ss_network_module"] = "networks.lora_flux";
    save_tensors(files[0], kohya_tensors(adapter.modules), header);
    return files[0];
  }
  const bool plain = std::any_of(adapter.modules.begin(), adapter.modules.end(),
                                 [](const auto& module) { return !module.has_router(); });
  if (layout == AdapterLayout::kPeft)
    write_json(files[1], lora_config(adapter, ""));
  else if (plain)
    header["lora_adapter_metadata"] = lora_config(adapter, "transformer.").dump(2);
  if (const std::string moe = moe_config(adapter); !moe.empty()) header["icedit_moe"] = moe;
  save_tensors(files[0], tensors_of(adapter.modules, layout), header);
  return files[0];
}

}  // namespace icedit
