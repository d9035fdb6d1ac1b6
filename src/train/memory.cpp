#include "train/memory.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "diffusion/schedule.h"
#include "edit/memory_estimate.h"
#include "models/configs.h"
#include "models/flux/names.h"
#include "train/adapter_setup.h"
#include "train/conditioning.h"

namespace icedit {
namespace {

// Elements kept for the backward pass, a token and hidden unit of a block: by their kinds some 35,
// counted off the forwards (models/flux/blocks.cpp); and of a block that is being recomputed, with
// the gradients of its own backward pass. Fitted to measured peaks of 1 + 2 blocks at FLUX's width
// and of nano in f32 at batch 64 and 128, which they meet within a tenth, but for nano recomputing:
// up to a seventh too little in f32, a third in bf16. In 16 bits some are kept in f32, and count
// twice.
struct KeptElements {
  double double_block, single_block, recomputed;
};
constexpr KeptElements kIn32Bits = {25, 22, 36}, kIn16Bits = {32, 29, 46};
// The VAE's encoder at full size: a block's input, normed, activated, convolved.
constexpr double kVaeCopies = 4;
// Estimates of another shape than the program's are off by a quarter at most; a refusal leaves
// more.
constexpr double kCertain = 1.5;

// Copies of a parameter that the optimizer keeps.
int64_t states_of(const OptimizerConfig& optimizer) {
  if (optimizer.type == "Prodigy") return 4;  // exp_avg, exp_avg_sq, s, p0
  return optimizer.type == "AdamW" ? 2 : 1;
}

// What target_modules match of the checkpoint's matrices, with an adapter's factors.
int64_t adapter_parameters(const Checkpoint& checkpoint, const TrainConfig& config) {
  const LinearShapes linears = shapes_of(checkpoint);
  const LoraConfig& lora = config.lora;
  int64_t parameters = 0;
  for (const std::string& module : targets_of(linears, lora)) {
    const int64_t out = linears.at(module)[0], in = linears.at(module)[1];
    if (config.mode == TrainMode::kMoeLora && gets_experts(module, lora))
      parameters += lora.num_experts * (lora.expert_rank * (out + in) + in);
    else
      parameters += lora.r * (out + in);
  }
  return parameters;
}

// Bytes of a checkpoint's matrices that are held in whole numbers, and of the rest as it is stored
// and in `compute`.
struct QuantisedBytes {
  uint64_t quantised = 0, stored = 0, computed = 0;
};
QuantisedBytes quantised_bytes(const Checkpoint& checkpoint, Quant quant, at::ScalarType compute) {
  // 4 bits, and a factor of 8 bits for each 16.
  const double each = quant == Quant::kInt4 ? 4.5 / 8 : 1;
  QuantisedBytes bytes;
  for (const auto& [name, entry] : checkpoint.entries()) {
    const bool matrix = entry.info.shape.size() == 2 && may_be_quantised(name);
    bytes.quantised += matrix ? uint64_t(double(entry.info.numel()) * each) : 0;
    bytes.stored += matrix ? 0 : entry.info.bytes();
    bytes.computed += matrix ? 0 : uint64_t(entry.info.numel()) * at::elementSize(compute);
  }
  return bytes;
}

uint64_t activation_bytes(const TrainConfig& config, const Residency& residency,
                          const FluxConfig& flux) {
  const at::ScalarType compute = residency.precision().compute;
  const auto width = double(at::elementSize(compute));
  const KeptElements& block = compute == at::kFloat ? kIn32Bits : kIn16Bits;
  const int64_t side = config.dataset.condition_size;
  const VaeConfig& vae = residency.vae_config();
  const int64_t tokens =
      image_tokens(side, 2 * side, vae.downscale()) + text_tokens(config, residency.files());
  // In floating point: what a configuration may ask for has no bound that an integer would hold.
  const double a_token = double(config.batch_size) * double(tokens) * double(flux.hidden());
  const auto layers = double(flux.num_layers), single = double(flux.num_single_layers);
  // Of a block its input and its attention's result, and the products that are kept.
  const double last = keeps_last_products(config, residency) ? 2 * layers + single : 0;
  const double kept = config.gradient_checkpointing
                          ? a_token * (2 * (layers + single) + last + block.recomputed)
                          : a_token * (layers * block.double_block + single * block.single_block);
  const double encoder =
      2.0 * double(side) * double(side) * kVaeCopies * double(vae.block_out_channels.at(0));
  return uint64_t(std::max(kept, encoder) * width);
}

}  // namespace

bool keeps_last_products(const TrainConfig& config, const Residency& residency) {
  return residency.precision().compute == at::kFloat && config.mode != TrainMode::kFull &&
         config.base_quant == Quant::kNone;
}

TrainingMemory estimate_training(const TrainConfig& config, const Residency& residency) {
  TrainingMemory memory;
  const bool full = config.mode == TrainMode::kFull;
  for (const PartEstimate& part : estimate_parts(residency, {})) {
    const bool encoder = part.part != Part::kTransformer;
    if (full && !encoder) memory.parameters = part.parameters;
    if (!encoder && config.base_quant != Quant::kNone) {
      const QuantisedBytes bytes =
          quantised_bytes(residency.files().open(part.part).checkpoint, config.base_quant,
                          residency.precision().compute);
      memory.weights += bytes.quantised;
      (part.mapped ? memory.mapped : memory.weights) += part.mapped ? bytes.stored : bytes.computed;
      continue;
    }
    (part.mapped                  ? memory.mapped
     : config.caches() && encoder ? memory.encoders
                                  : memory.weights) += part.weights;
  }
  const Component transformer = residency.files().open(Part::kTransformer);
  const bool from_file = config.lora.target_modules.empty();  // init_lora's, which is small
  if (!full && !from_file) memory.parameters = adapter_parameters(transformer.checkpoint, config);
  // Trained weights are the frozen ones' place holders; an adapter's come on top.
  const int64_t copies =
      (full ? 0 : 1) + 1 + states_of(config.optimizer) + (config.ema_decay > 0 ? 1 : 0);
  memory.trained = uint64_t(memory.parameters * copies) * sizeof(float);
  memory.activations = activation_bytes(config, residency, FluxConfig::from(transformer.config));
  return memory;
}

void expect_memory(const TrainingMemory& memory, const TrainConfig& config, uint64_t available,
                   uint64_t swap) {
  if (memory.peak() <= available) return;
  const auto text = [](uint64_t bytes) { return bytes_text(double(bytes)); };
  const std::string what =
      str("training takes about ", text(memory.peak()), " of memory (weights ",
          text(memory.weights + memory.encoders), ", ", memory.parameters,
          " trained parameters with gradients and ", config.optimizer.type, "'s state ",
          text(memory.trained), ", activations of ", config.batch_size, " samples of ",
          config.dataset.condition_size, " pixels ", text(memory.activations), "), but ",
          text(available), " are available");
  std::string remedy = config.batch_size > 1 ? "a smaller train.batch_size" : "";
  if (!config.gradient_checkpointing)
    remedy += str(remedy.empty() ? "" : ", ", "train.gradient_checkpointing: true");
  remedy += str(remedy.empty() ? "" : ", ", "a smaller train.dataset.condition_size");
  if (config.check_memory && double(memory.peak()) > kCertain * double(available + swap))
    throw UsageError(str(what, "; try ", remedy, ", or train.check_memory: false to go on"));
  log::warn(str(what, ": it may swap or end; ", remedy, " would help"));
}

}  // namespace icedit
