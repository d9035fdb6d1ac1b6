#include "adapters/kohya_names.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "adapters/lora.h"
#include "base/error.h"
#include "models/flux/names.h"

namespace icedit {
namespace {

constexpr int64_t kMlpRatio =
    4;  // rows of linear1's MLP part over the hidden size, as in every FLUX

using Parts = std::vector<const LoraModule*>;  // by their place in the BFL module; null: no adapter

struct Fused {
  Tensor down, up;
  double alpha;
};

double scaling(const LoraModule& lora) {
  return lora_scaling(lora.alpha, lora.a.size(0), lora.rslora);
}

int64_t rows_of_part(const Parts& parts, size_t part, int64_t hidden) {
  if (parts[part] != nullptr) return parts[part]->b.size(0);
  return part == 3 ? kMlpRatio * hidden : hidden;
}

bool share_down(const Parts& parts) {
  const LoraModule* first = parts[0];
  return std::all_of(parts.begin(), parts.end(), [&](const LoraModule* part) {
    return part != nullptr && first != nullptr && scaling(*part) == scaling(*first) &&
           part->a.equal(first->a);
  });
}

Fused fuse(const Parts& parts) {
  const LoraModule& one =
      **std::find_if(parts.begin(), parts.end(), [](auto* part) { return part != nullptr; });
  const int64_t hidden = one.a.size(1);
  if (share_down(parts)) {
    std::vector<Tensor> ups;
    for (const auto* part : parts) ups.push_back(part->b);
    return {one.a, at::cat(ups, 0), scaling(one) * double(one.a.size(0))};
  }
  // The common scaling is the first part's; the others' ups take the difference.
  int64_t rank = 0, rows = 0;
  std::vector<Tensor> downs;
  for (size_t i = 0; i < parts.size(); ++i) {
    rows += rows_of_part(parts, i, hidden);
    if (parts[i] == nullptr) continue;
    rank += parts[i]->a.size(0);
    downs.push_back(parts[i]->a.to(one.a.scalar_type()));
  }
  Fused fused{at::cat(downs, 0), at::zeros({rows, rank}, one.b.options()),
              scaling(one) * double(rank)};
  int64_t row = 0, column = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const int64_t height = rows_of_part(parts, i, hidden);
    if (parts[i] != nullptr) {
      const int64_t width = parts[i]->a.size(0);
      const double ratio = scaling(*parts[i]) / scaling(one);
      fused.up.narrow(0, row, height)
          .narrow(1, column, width)
          .copy_(ratio == 1 ? parts[i]->b : parts[i]->b * ratio);
      column += width;
    }
    row += height;
  }
  return fused;
}

}  // namespace

std::vector<std::pair<std::string, Tensor>> kohya_tensors(const std::vector<LoraModule>& modules) {
  std::map<std::string, Parts> fused;
  for (const LoraModule& lora : modules) {
    const auto place = bfl_part(lora.module);
    if (!place) throw UsageError(str("the kohya layout has no name for the module ", lora.module));
    Parts& parts = fused[place->module];
    parts.resize(place->parts, nullptr);
    parts[place->part] = &lora;
  }
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const auto& [module, parts] : fused) {
    Fused whole = fuse(parts);
    if (module.rfind("final_layer.", 0) == 0) {
      // diffusers ignores alpha here: it goes into the factor.
      const double rank = double(whole.down.size(0));
      whole.up = whole.up * (whole.alpha / rank);
      whole.alpha = rank;
    }
    if (halves_are_swapped(module)) {
      const auto halves = whole.up.chunk(2, 0);
      whole.up = at::cat({halves[1], halves[0]}, 0);
    }
    std::string name = "lora_unet_" + module;
    std::replace(name.begin(), name.end(), '.', '_');
    tensors.emplace_back(name + ".lora_down.weight", whole.down);
    tensors.emplace_back(name + ".lora_up.weight", whole.up);
    tensors.emplace_back(name + ".alpha", at::scalar_tensor(whole.alpha, at::kFloat));
  }
  return tensors;
}

}  // namespace icedit
