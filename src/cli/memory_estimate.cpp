#include "cli/memory_estimate.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "models/clip/config.h"
#include "models/flux/config.h"
#include "models/t5/config.h"

namespace icedit::cli {
namespace {

constexpr uint64_t kSmallModel = uint64_t{1} << 30;

// Elements alive at once at a block's widest place, counted off the forwards (models/): inputs, q,
// k, v, the MLP before and after its activation, and their concatenation.
int64_t transformer_elements(const FluxConfig& c, const EditSize& size) {
  return (size.image_tokens + size.text_tokens) * 20 * c.hidden();
}

int64_t t5_elements(const T5Config& c, const EditSize& size) {
  const int64_t scores = 3 * c.num_heads * size.text_tokens * size.text_tokens;
  return size.text_tokens * (3 * c.d_ff + 6 * c.d_model) + scores;
}

int64_t clip_elements(const ClipConfig& c) {
  return 77 * (2 * c.intermediate_size + 6 * c.hidden_size);
}

// The decoder's last up block, at full size: the upsampled features of the block before, normed,
// and convolved.
int64_t vae_elements(const VaeConfig& c, const EditSize& size) {
  const auto& channels = c.block_out_channels;
  return size.pixels * (3 * channels[std::min<size_t>(1, channels.size() - 1)] + channels[0]);
}

int64_t elements(const Component& component, Part part, const EditSize& size) {
  switch (part) {
    case Part::kTransformer:
      return transformer_elements(FluxConfig::from(component.config), size);
    case Part::kT5:
      return t5_elements(T5Config::from(component.config), size);
    case Part::kClip:
      return clip_elements(ClipConfig::from(component.config));
    case Part::kVae:
      return vae_elements(VaeConfig::from(component.config), size);
  }
  return 0;
}

PartEstimate estimate(const Residency& residency, Part part, const EditSize& size) {
  const Component component = residency.files().open(part);
  const Checkpoint& checkpoint = component.checkpoint;
  const at::ScalarType compute = residency.precision().compute;
  PartEstimate e;
  e.part = part;
  e.where = checkpoint.where();
  e.dtype = dtype_name(stored_dtype(checkpoint));
  int64_t largest = 0;
  for (const auto& [name, entry] : checkpoint.entries()) {
    e.parameters += entry.info.numel();
    largest = std::max(largest, entry.info.numel());
  }
  e.stored = checkpoint.total_bytes();
  e.mapped = keep_as_stored(checkpoint, compute);
  e.weights = e.mapped ? e.stored : bytes_in(checkpoint, compute);
  const auto width = static_cast<uint64_t>(at::elementSize(compute));
  e.activations = static_cast<uint64_t>(elements(component, part, size)) * width;
  if (e.mapped)
    e.activations += static_cast<uint64_t>(largest) * width;  // the one that is being converted
  return e;
}

}  // namespace

std::vector<PartEstimate> estimate_parts(const Residency& residency, const EditSize& size) {
  std::vector<PartEstimate> parts;
  for (const Part part : {Part::kTransformer, Part::kT5, Part::kClip, Part::kVae}) {
    parts.push_back(estimate(residency, part, size));
  }
  return parts;
}

uint64_t peak_bytes(const std::vector<PartEstimate>& parts, Keep keep) {
  uint64_t one = 0, image_weights = 0, image_activations = 0, all = 0, activations = 0;
  for (const PartEstimate& e : parts) {
    const bool text = e.part == Part::kT5 || e.part == Part::kClip;
    if (keep == Keep::kOne || text) one = std::max(one, e.weights + e.activations);
    if (!text) image_weights += e.weights;
    if (!text) image_activations = std::max(image_activations, e.activations);
    all += e.weights;
    activations = std::max(activations, e.activations);
  }
  if (keep == Keep::kAll) return all + activations;
  return keep == Keep::kOne ? one : std::max(one, image_weights + image_activations);
}

Keep choose_keep(const std::vector<PartEstimate>& parts, bool low_memory, bool several_pictures) {
  uint64_t weights = 0;
  for (const PartEstimate& e : parts) weights += e.weights;
  if (low_memory) return Keep::kOne;
  if (weights < kSmallModel) return Keep::kAll;
  return several_pictures ? Keep::kImageParts : Keep::kOne;
}

}  // namespace icedit::cli
