#include "edit/memory_estimate.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/process.h"
#include "base/progress.h"
#include "base/str.h"
#include "edit/recipe.h"
#include "models/configs.h"

namespace icedit {
namespace {

constexpr uint64_t kSmallModel = uint64_t{1} << 30;
// Of edit/detail/, as bench/detail.cpp measures it: the planes of the analysis, a pixel of the
// half; the photo, the edit and its file, a pixel of the photo.
constexpr uint64_t kBytesOfAnalysis = 430, kBytesAtFullSize = 9;

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
  // A LoRA is folded into copies of the weights (nn/linear.cpp).
  const bool folded =
      part == Part::kTransformer && compute == at::kFloat && !residency.adapters().empty();
  const bool as_stored = e.mapped || (e.stored == e.weights && !folded);
  e.copied = as_stored ? 0 : e.weights;
  const auto width = static_cast<uint64_t>(at::elementSize(compute));
  e.activations = static_cast<uint64_t>(elements(component, part, size)) * width;
  if (e.mapped)
    e.activations += static_cast<uint64_t>(largest) * width;  // the one that is being converted
  return e;
}

}  // namespace

Size half_size(const Residency& residency, const EditRequest& request, Size source) {
  const auto multiple = static_cast<int>(2 * residency.vae_config().downscale());
  const int64_t width = request.width.value_or(residency.files().defaults().width);
  return half_size(source, static_cast<int>(width), request.sizing, multiple);
}

EditSize edit_size(const Residency& residency, const EditRequest& request, Size half, Size source) {
  const int64_t width = int64_t{2} * half.width, height = half.height;
  EditSize size;
  size.image_tokens = image_tokens(height, width, residency.vae_config().downscale());
  size.text_tokens =
      request.max_sequence_length.value_or(residency.files().defaults().max_sequence_length);
  size.pixels = width * height;
  if (request.source_size) size.full_pixels = int64_t{source.width} * source.height;
  return size;
}

EditSize larger(const EditSize& a, const EditSize& b) {
  return {std::max(a.image_tokens, b.image_tokens), std::max(a.text_tokens, b.text_tokens),
          std::max(a.pixels, b.pixels), std::max(a.full_pixels, b.full_pixels)};
}

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

uint64_t full_size_bytes(const EditSize& size) {
  if (size.full_pixels == 0) return 0;
  return kBytesOfAnalysis * static_cast<uint64_t>(size.pixels / 2) +
         kBytesAtFullSize * static_cast<uint64_t>(size.full_pixels);
}

uint64_t adapter_bytes(const Residency& residency) {
  uint64_t bytes = 0;
  for (const EditAdapter& adapter : residency.adapters())
    bytes += std::filesystem::file_size(adapter.fitted.path);
  return bytes;
}

MemoryCheck::MemoryCheck(const Residency& residency, std::optional<uint64_t> available)
    : residency_(residency),
      available_(available.value_or(available_memory_bytes() + free_swap_bytes())) {}

uint64_t MemoryCheck::needed(const EditSize& size, Keep keep) const {
  std::vector<PartEstimate> parts = estimate_parts(residency_, size);
  for (PartEstimate& part : parts) part.weights = part.copied;
  return peak_bytes(parts, keep) + full_size_bytes(size) + adapter_bytes(residency_);
}

std::string MemoryCheck::remedy(const EditRequest& request, Size half, Size source) const {
  if (needed(edit_size(residency_, request, half, source), Keep::kOne) <= available_)
    return "--low-memory";
  const auto multiple = static_cast<int>(2 * residency_.vae_config().downscale());
  const double slope = static_cast<double>(half.height) / half.width;
  for (int width = half.width / 2; width >= multiple; width /= 2) {
    const int rounded = width / multiple * multiple;
    const Size smaller = {rounded, static_cast<int>(rounded * slope) + multiple};
    if (needed(edit_size(residency_, request, smaller, source), residency_.keep()) <= available_)
      return str("a smaller --width (", rounded, " fits)");
  }
  return "a smaller --width or --low-memory";
}

std::string MemoryCheck::shortage(const EditRequest& request, Size half, Size source) {
  if (!residency_.device().is_cpu()) return "";
  const EditSize size = edit_size(residency_, request, half, source);
  if (larger(size, fits_) == fits_) return "";
  const uint64_t bytes = needed(size, residency_.keep());
  if (bytes <= available_) {
    fits_ = larger(size, fits_);
    return "";
  }
  return str("an edit of ", half.width, "x", half.height, " pixels needs about ",
             bytes_text(double(bytes)), " of memory, but ", bytes_text(double(available_)),
             " are available; give ", remedy(request, half, source), ", or close other programs");
}

Keep choose_keep(const std::vector<PartEstimate>& parts, bool low_memory, bool several_pictures) {
  uint64_t weights = 0;
  for (const PartEstimate& e : parts) weights += e.weights;
  if (low_memory) return Keep::kOne;
  if (weights < kSmallModel) return Keep::kAll;
  return several_pictures ? Keep::kImageParts : Keep::kOne;
}

}  // namespace icedit
