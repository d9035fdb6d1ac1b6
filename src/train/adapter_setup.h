#pragma once
// What a run trains: a fresh adapter, one to go on from, or all weights.
#include <optional>

#include "adapters/attach.h"
#include "edit/residency.h"
#include "models/flux/transformer.h"
#include "train/config.h"
#include "train/optimizer.h"

namespace icedit {

// Fresh factors as peft makes them: A normal with deviation 1/r ("gaussian") or kaiming-uniform, B
// zero; a router as torch's Linear. A function of the seed and the targets' order alone: every rank
// makes the same. Throws UsageError: no module matches (with the nearest), a mixture without any.
AdapterFile fresh_adapter(const LinearList& linears, const LoraConfig& config, bool experts,
                          uint64_t seed);

// The modules that target_modules match. Throws UsageError: none (with the nearest).
std::vector<std::string> targets_of(const LinearShapes& linears, const LoraConfig& config);
// Whether a target gets experts in a mixture.
bool gets_experts(const std::string& module, const LoraConfig& config);

struct Trainable {
  std::optional<LoadedAdapter> adapter;  // not in mode full
  NamedTensors parameters;               // f32 leaves, by the names of checkpoints
};

// The adapter of train.init_lora; none where the run starts from none. It must be of the model's
// shapes, and as train.lora_config has it: targets, rank, alpha, experts. Throws UsageError,
// CheckpointError.
std::optional<AdapterFile> init_lora(const LinearShapes& linears, const TrainConfig& config);

// Puts onto the model what config.mode says: `start`, or a fresh adapter, or nothing. Throws
// UsageError, CheckpointError. `quiet`: a checkpoint's values will take the place of these.
Trainable make_trainable(FluxTransformer& model, const TrainConfig& config,
                         const std::optional<AdapterFile>& start, bool quiet = false);

// init_lora's adapter. Throws what it and make_trainable would, as far as the headers of files
// tell: nothing else is loaded.
std::optional<AdapterFile> expect_trainable(const Residency& residency, const TrainConfig& config);

}  // namespace icedit
