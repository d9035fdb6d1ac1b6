#include "edit/memory_estimate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "base/process.h"
#include "base/progress.h"
#include "base/str.h"
#include "edit/recipe.h"
#include "models/configs.h"
#include "models/flux/names.h"
#include "models/t5/encoder.h"
#include "nn/comfy_quant.h"
#include "nn/int8_matrix.h"
#include "nn/matrix.h"

namespace icedit {
namespace {

constexpr uint64_t kSmallModel = uint64_t{1} << 30;
// Of edit/detail/, as bench/detail.cpp measures it: the planes of the analysis, a pixel of the
// half; the photo, the edit and its file, a pixel of the photo.
constexpr uint64_t kBytesOfAnalysis = 430, kBytesAtFullSize = 9;
// Of an element that is widened to f32 before it is quantised (nn/quantised_matrix.cpp).
constexpr uint64_t kBytesOfQuantising = 4;

// Elements alive at once at a block's widest place, counted off the forwards (models/): inputs, q,
// k, v, the MLP before and after its activation, and their concatenation. Kept keys and values are
// of all blocks.
int64_t transformer_elements(const FluxConfig& c, const EditSize& size) {
  const int64_t kept = 2 * size.kept_tokens * (c.num_layers + c.num_single_layers);
  return size.together * ((size.image_tokens + size.text_tokens) * 20 + kept) * c.hidden();
}

int64_t t5_elements(const T5Config& c, const EditSize& size) {
  const int64_t scores = 3 * c.num_heads * size.text_tokens * size.text_tokens;
  return size.text_tokens * (3 * c.d_ff + 6 * c.d_model) + scores;
}

int64_t clip_elements(const ClipConfig& c) {
  return 77 * (2 * c.intermediate_size + 6 * c.hidden_size);
}

// The decoder's last up block, at full size: the upsampled features of the block before, and the
// same normed, while they are convolved. Half as much again as the first channels' fits the peaks
// that were seen of models of 16 to 128 channels at 96 to 1024 pixels: what the heap keeps of
// smaller ones.
int64_t vae_elements(const VaeConfig& c, const EditSize& size) {
  const auto& channels = c.block_out_channels;
  return size.pixels *
         (2 * channels[std::min<size_t>(1, channels.size() - 1)] + channels[0] * 3 / 2);
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

// Whether a matrix in GGML's blocks has products in 8 bits of the blocks themselves (nn/ggml.cpp).
bool multiplies_in_blocks(const std::string& module, const TensorInfo& info,
                          const LoadOptions& load) {
  return load.int8_blocks && info.dtype == Dtype::kQ4_0 && load.quantises(module);
}

// Of a tensor that is loaded with these options (nn/linear.cpp, nn/matrix.cpp).
uint64_t held_bytes(const Checkpoint& checkpoint, const std::string& name, const TensorInfo& info,
                    const LoadOptions& load) {
  const std::string module = module_of(name);
  // Factors of whole numbers lie beside them as they are stored.
  if (parameters_of(checkpoint, name) == 0) return load.device.is_cpu() ? info.bytes() : 0;
  const auto count = uint64_t(info.numel());
  if (info.shape.size() != 2) return count * uint64_t(at::elementSize(load.compute));
  const bool packed = info.dtype == Dtype::kI8 || dtype_block(info.dtype) > 1;
  if (packed && !load.device.is_cpu())
    return uint64_t(info.shape[0] * matrix_inputs(checkpoint, module)) *
           uint64_t(at::elementSize(load.compute));
  if (info.dtype == Dtype::kI8) return count;
  if (multiplies_in_blocks(module, info, load)) return info.bytes();
  const bool becomes = load.quant != Quant::kNone || dtype_block(info.dtype) > 1;
  if (becomes && load.quantises(module) && rotation_group(info.shape[1]) != 0)
    return load.quant == Quant::kInt4 ? count * 9 / 16 : count;  // 4 bits, and 8 for each 16
  return load.keep_stored ? info.bytes() : count * uint64_t(at::elementSize(load.compute));
}

// What is in memory while streamed blocks are computed: the largest, what it is made of, and, in
// the host's memory, the file's pages of the next one. On another device it is made of one matrix
// after the other, as it is stored.
struct Slots {
  const LoadOptions& load;
  std::map<std::string, CallBytes> calls = {};
  int64_t largest = 0;         // elements that are quantised at once
  uint64_t largest_bytes = 0;  // of one that is held otherwise than it is stored

  void add(const std::string& call, uint64_t held, const TensorInfo& info, bool quantised) {
    CallBytes& bytes = calls[call];
    bytes.held += held;
    bytes.stored += info.bytes();
    if (quantised) largest = std::max(largest, std::min(info.numel(), kMostAtOnce));
    if (held != info.bytes()) largest_bytes = std::max<uint64_t>(largest_bytes, info.bytes());
  }
  uint64_t bytes() const {
    CallBytes most;
    uint64_t next = 0;  // of the others the most in the file
    for (const auto& [path, call] : calls) {
      const bool largest_yet = call.held > most.held;
      next = std::max(next, largest_yet ? most.stored : call.stored);
      if (largest_yet) most = call;
    }
    if (!load.device.is_cpu()) return most.held + largest_bytes;
    return most.held + next + uint64_t(largest) * kBytesOfQuantising;
  }
};

PartEstimate estimate(const Residency& residency, Part part, const EditSize& size) {
  const Component component = residency.files().open(part);
  const Checkpoint& checkpoint = component.checkpoint;
  const LoadOptions load = residency.load_options(component, part);
  const auto width = uint64_t(at::elementSize(load.compute));
  PartEstimate e;
  e.part = part;
  e.where = checkpoint.where();
  e.dtype = dtype_name(stored_dtype(checkpoint));
  e.stored = checkpoint.total_bytes();
  e.mapped = load.keep_stored;
  // A LoRA is folded into copies of the weights (nn/linear.cpp).
  const bool folded =
      part == Part::kTransformer && load.compute == at::kFloat && !residency.adapters().empty();
  int64_t converted = 0;  // elements of the largest matrix that is converted at each use
  uint64_t late = 0;      // of `weights`, what is not in memory before its first use
  Slots blocks{load}, modulations{load};
  for (const auto& [name, entry] : checkpoint.entries()) {
    const TensorInfo& info = entry.info;
    const std::string module = module_of(name), call = residency.streamed_call(part, module);
    const uint64_t held = held_bytes(checkpoint, name, info, load);
    const bool in_blocks = multiplies_in_blocks(module, info, load);
    const bool quantised = load.quantises(module) && info.dtype != Dtype::kI8 && !in_blocks;
    e.parameters += parameters_of(checkpoint, name);
    if (e.mapped && !quantised && !in_blocks) converted = std::max(converted, info.numel());
    if (!call.empty() && info.shape.size() == 2) {
      e.streamed += held;
      (call.ends_with(kModulationCall) ? modulations : blocks).add(call, held, info, quantised);
      continue;
    }
    const bool as_stored = e.mapped ? !quantised && info.dtype != Dtype::kI8
                                    : held == info.bytes() && !folded && info.dtype != Dtype::kI8;
    // Of a mapped table only the words' rows are read.
    const bool table = part == Part::kT5 && is_t5_table(module);
    if (table && as_stored && load.device.is_cpu()) continue;
    e.weights += held;
    if (!as_stored) e.copied += held;
    const bool of_block = !call_of_module(module).empty();
    if (of_block && load.device.is_cpu() && (as_stored || info.dtype == Dtype::kI8)) late += held;
  }
  // Modulations come first.
  const uint64_t ahead = modulations.bytes() - std::min(modulations.bytes(), late);
  e.activations =
      std::max(uint64_t(elements(component, part, size)) * width + blocks.bytes(), ahead);
  e.activations += uint64_t(converted) * width;
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
  // At least the left half; of a mask of one's own up to all, since it may let little change.
  if (request.speed.reuse_left > 1)
    size.kept_tokens = request.mask ? size.image_tokens : size.image_tokens / 2;
  if (request.source_size) size.full_pixels = int64_t{source.width} * source.height;
  return size;
}

EditSize usual_size(const Residency& residency, const EditRequest& request) {
  const int64_t width = request.width.value_or(residency.files().defaults().width);
  const Size square = {static_cast<int>(width), static_cast<int>(width)};
  return edit_size(residency, request, half_size(residency, request, square), square);
}

EditSize larger(const EditSize& a, const EditSize& b) {
  return {std::max(a.image_tokens, b.image_tokens),
          std::max(a.text_tokens, b.text_tokens),
          std::max(a.pixels, b.pixels),
          std::max(a.full_pixels, b.full_pixels),
          std::max(a.kept_tokens, b.kept_tokens),
          std::max(a.together, b.together)};
}

std::vector<CallBytes> transformer_blocks(const Residency& residency) {
  const Component component = residency.files().open(Part::kTransformer);
  const LoadOptions load = residency.load_options(component, Part::kTransformer);
  std::map<std::string, CallBytes> by_path;
  for (const auto& [name, entry] : component.checkpoint.entries()) {
    const std::string module = module_of(name), call = call_of_module(module);
    if (call.empty() || call.ends_with(kModulationCall) || entry.info.shape.size() != 2) continue;
    CallBytes& bytes = by_path[call];
    bytes.held += held_bytes(component.checkpoint, name, entry.info, load);
    bytes.stored += entry.info.bytes();
  }
  const FluxConfig config = FluxConfig::from(component.config);
  std::vector<CallBytes> blocks;
  const auto add = [&](const std::string& stem, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      blocks.push_back(by_path[str(stem, ".", i)]);
      blocks.back().path = str(stem, ".", i);
    }
  };
  add("transformer_blocks", config.num_layers);
  add("single_transformer_blocks", config.num_single_layers);
  return blocks;
}

std::vector<PartEstimate> estimate_parts(const Residency& residency, const EditSize& size) {
  std::vector<PartEstimate> parts;
  for (const Part part : kParts) parts.push_back(estimate(residency, part, size));
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
  const bool folded = residency.precision().compute == at::kFloat;
  return residency.device().is_cpu() && !folded ? 2 * bytes : bytes;
}

uint64_t process_bytes(const Residency& residency, const EditSize& size, uint64_t own) {
  const uint64_t model =
      peak_bytes(estimate_parts(residency, size), residency.keep()) + adapter_bytes(residency);
  return residency.device().is_cpu() ? own + model + full_size_bytes(size) : model;
}

const char* limit_flag(const Residency& residency) {
  return residency.device().is_cpu() ? "--max-memory" : "--max-vram";
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

// What the limit allows was planned for edits of one size.
std::string MemoryCheck::above_limit(const EditSize& size, Size half) const {
  const std::optional<uint64_t> most = residency_.most_memory();
  const uint64_t bytes = most ? process_bytes(residency_, size, kProgramAtMost) : 0;
  if (!most || bytes <= *most) return "";
  return str("an edit of ", half.width, "x", half.height, " pixels takes about ",
             bytes_text(double(bytes)), " of memory, but ", limit_flag(residency_), " allows ",
             bytes_text(double(*most)), "; give a smaller --width, or more");
}

std::string MemoryCheck::shortage(const EditRequest& request, Size half, Size source) {
  const EditSize size = edit_size(residency_, request, half, source);
  if (larger(size, fits_) == fits_) return "";
  if (const std::string above = above_limit(size, half); !above.empty()) return above;
  if (!residency_.device().is_cpu()) return "";
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
  for (const PartEstimate& e : parts) weights += e.weights + e.streamed;
  if (low_memory) return Keep::kOne;
  if (weights < kSmallModel) return Keep::kAll;
  return several_pictures ? Keep::kImageParts : Keep::kOne;
}

}  // namespace icedit
