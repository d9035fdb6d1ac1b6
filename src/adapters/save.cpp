#include "adapters/save.h"

#include <ATen/ATen.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "adapters/kohya_names.h"
#include "base/error.h"
#include "nn/weights.h"

namespace icedit {
namespace {

using Json = nlohmann::ordered_json;
using Named = std::vector<std::pair<std::string, Tensor>>;

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
  bool rslora = !adapter.lora.empty();
  for (const auto& lora : adapter.lora) rslora = rslora && lora.rslora;
  const auto alpha_of = [&](const LoraModule& lora) {
    // A mixed adapter is written in plain terms: the alpha that gives the same scale.
    return lora.rslora && !rslora ? lora.alpha * std::sqrt(double(lora.a.size(0))) : lora.alpha;
  };
  for (const auto& lora : adapter.lora) {
    ranks.push_back(lora.a.size(0));
    alphas.push_back(alpha_of(lora));
  }
  const int64_t rank = most_common(ranks);
  const double alpha = most_common(alphas);
  Json rank_pattern = Json::object(), alpha_pattern = Json::object(), targets = Json::array();
  for (const auto& lora : adapter.lora) {
    targets.push_back(lora.module);
    if (lora.a.size(0) != rank) rank_pattern["^" + lora.module] = lora.a.size(0);
    if (alpha_of(lora) != alpha) alpha_pattern["^" + lora.module] = number(alpha_of(lora));
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

Named named_factors(const AdapterFile& adapter, const std::string& prefix) {
  Named tensors;
  for (const auto& lora : adapter.lora) {
    tensors.emplace_back(prefix + lora.module + ".lora_A.weight", lora.a);
    tensors.emplace_back(prefix + lora.module + ".lora_B.weight", lora.b);
  }
  for (const auto& moe : adapter.moe) {
    for (size_t e = 0; e < moe.a.size(); ++e) {
      tensors.emplace_back(str(prefix, moe.module, ".lora_A.expert_", e, ".weight"), moe.a[e]);
      tensors.emplace_back(str(prefix, moe.module, ".lora_B.expert_", e, ".weight"), moe.b[e]);
    }
    tensors.emplace_back(prefix + moe.module + ".lora_route.weight", moe.route);
  }
  return tensors;
}

std::map<std::string, std::string> header_of(const AdapterFile& adapter) {
  auto header = adapter.metadata;
  header["format"] = "pt";
  for (const char* ours : {"lora_adapter_metadata", "icedit_moe"}) header.erase(ours);
  return header;
}

Path save_diffusers(const Path& path, const AdapterFile& adapter) {
  auto header = header_of(adapter);
  if (!adapter.lora.empty())
    header["lora_adapter_metadata"] = lora_config(adapter, "transformer.").dump(2);
  if (!adapter.moe.empty()) {
    const MoeModule& first = adapter.moe.front();
    const Json moe = {{"num_experts", first.a.size()},
                      {"expert_rank", first.a[0].size(0)},
                      {"expert_alpha", number(first.alpha)},
                      {"top_k", first.top_k}};
    for (const auto& other : adapter.moe) {
      if (other.alpha != first.alpha || other.top_k != first.top_k) {
        throw UsageError(str("the mixtures of ", first.module, " and ", other.module,
                             " differ in alpha or top_k, which their file layout cannot say"));
      }
    }
    header["icedit_moe"] = moe.dump();
  }
  const Path file =
      path.extension() == ".safetensors" ? path : path / "pytorch_lora_weights.safetensors";
  save_tensors(file, named_factors(adapter, "transformer."), header);
  return file;
}

Path save_peft(const Path& folder, const AdapterFile& adapter) {
  if (folder.extension() == ".safetensors") {
    throw UsageError(str(folder.string(),
                         ": a PEFT adapter is a folder of two files; leave out the .safetensors"));
  }
  const Path file = folder / "adapter_model.safetensors";
  write_text_atomically(folder / "adapter_config.json", lora_config(adapter, "").dump(2) + "\n");
  save_tensors(file, named_factors(adapter, "base_model.model."), header_of(adapter));
  return file;
}

Path save_kohya(const Path& path, const AdapterFile& adapter) {
  const Path file = path.extension() == ".safetensors" ? path : path / "lora.safetensors";
  auto header = header_of(adapter);
  header["ss_network_module"] = "networks.lora_flux";
  save_tensors(file, kohya_tensors(adapter.lora), header);
  return file;
}

Tensor copied(const Tensor& tensor) {
  return tensor.detach().to(at::kCPU).clone();
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
  for (const auto& layer : adapter.layers()) {
    if (layer.lora) {
      const LoraLayer& lora = *layer.lora;
      content.lora.push_back(
          {layer.module, copied(lora.a), copied(lora.b), lora.alpha, lora.rslora, {}});
      continue;
    }
    MoeModule moe{layer.module,     {}, {}, copied(layer.moe->route), layer.moe->alpha,
                  layer.moe->top_k, {}};
    for (const auto& a : layer.moe->a) moe.a.push_back(copied(a));
    for (const auto& b : layer.moe->b) moe.b.push_back(copied(b));
    content.moe.push_back(std::move(moe));
  }
  return content;
}

Path save_adapter(const Path& path, const AdapterFile& adapter, AdapterLayout layout) {
  if (adapter.lora.empty() && adapter.moe.empty())
    throw UsageError(str(path.string(), ": the adapter has no layers"));
  if (!adapter.moe.empty() && layout != AdapterLayout::kDiffusers) {
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
