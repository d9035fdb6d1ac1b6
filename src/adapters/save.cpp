#include "adapters/save.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "adapters/kohya_names.h"
#include "base/error.h"
#include "nn/weights.h"

namespace icedit {
namespace {

using Json = nlohmann::ordered_json;

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

std::map<std::string, std::string> header_of(const AdapterFile& adapter) {
  auto header = adapter.metadata;
  header["format"] = "pt";
  for (const char* ours : {"lora_adapter_metadata", "icedit_moe"}) header.erase(ours);
  return header;
}

Path save_diffusers(const Path& path, const AdapterFile& adapter) {
  auto header = header_of(adapter);
  const bool plain = std::any_of(adapter.modules.begin(), adapter.modules.end(),
                                 [](const auto& module) { return !module.has_router(); });
  if (plain) header["lora_adapter_metadata"] = lora_config(adapter, "transformer.").dump(2);
  if (const std::string moe = moe_config(adapter); !moe.empty()) header["icedit_moe"] = moe;
  const Path file =
      path.extension() == ".safetensors" ? path : path / "pytorch_lora_weights.safetensors";
  save_tensors(file, tensors_of(adapter.modules), header);
  return file;
}

Path save_peft(const Path& folder, const AdapterFile& adapter) {
  if (folder.extension() == ".safetensors") {
    throw UsageError(str(folder.string(),
                         ": a PEFT adapter is a folder of two files; leave out the .safetensors"));
  }
  const Path file = folder / "adapter_model.safetensors";
  write_text_atomically(folder / "adapter_config.json", lora_config(adapter, "").dump(2) + "\n");
  save_tensors(file, tensors_of(adapter.modules, AdapterLayout::kPeft), header_of(adapter));
  return file;
}

Path save_kohya(const Path& path, const AdapterFile& adapter) {
  const Path file = path.extension() == ".safetensors" ? path : path / "lora.safetensors";
  auto header = header_of(adapter);
  header["ss_network_module"] = "networks.lora_flux";
  save_tensors(file, kohya_tensors(adapter.modules), header);
  return file;
}

}  // namespace

AdapterLayout adapter_layout(const std::string& name) {
  if (name == "diffusers") return AdapterLayout::kDiffusers;
  if (name == "peft") return AdapterLayout::kPeft;
  if (name == "kohya") return AdapterLayout::kKohya;
  throw UsageError(
      str("adapter layout '", name, "' is not known; expected diffusers, peft or kohya"));
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
                         layout == AdapterLayout::kPeft ? "peft" : "kohya",
                         " layout; save it as diffusers"));
  }
  switch (layout) {
    case AdapterLayout::kPeft:
      return save_peft(path, adapter);
    case AdapterLayout::kKohya:
      return save_kohya(path, adapter);
    case AdapterLayout::kDiffusers:
      break;
  }
  return save_diffusers(path, adapter);
}

}  // namespace icedit
