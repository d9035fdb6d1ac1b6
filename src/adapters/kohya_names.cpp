#include "adapters/kohya_names.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "models/flux/names.h"

namespace icedit {
namespace {

constexpr int64_t kMlpRatio =
    4;  // rows of linear1's MLP part over the hidden size, as in every FLUX

using Parts =
    std::vector<const AdapterModule*>;  // by their place in the BFL module; null: no adapter

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

}  // namespace

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

}  // namespace icedit
