#pragma once
// How much memory a training step will take, from headers and the configuration alone: so that a
// batch that cannot fit is refused before anything is loaded.
#include <algorithm>
#include <cstdint>

#include "edit/residency.h"
#include "train/config.h"

namespace icedit {

struct TrainingMemory {
  uint64_t weights = 0;      // of the frozen components, once they are converted
  uint64_t mapped = 0;       // of those that stay in their files: the system may drop their pages
  int64_t parameters = 0;    // that are trained
  uint64_t trained = 0;      // bytes: they themselves, gradients, the optimizer's state, averages
  uint64_t activations = 0;  // about, at their peak, for one micro-batch
  // With a cache: of the text encoders and the VAE, which are gone before the transformer is loaded
  // (train/conditioning.h), and not among `weights`.
  uint64_t encoders = 0;

  uint64_t peak() const { return std::max(encoders, weights + trained + activations); }
};

// Whether a recomputed block makes its last products once and keeps them (Linear::once).
bool keeps_last_products(const TrainConfig& config, const Residency& residency);

// Opens the components; reads no weights. Throws UsageError where target_modules match nothing.
TrainingMemory estimate_training(const TrainConfig& config, const Residency& residency);

// Warns where the estimate is above what is available; throws UsageError, with the figures and what
// would help, where it is far above that with the free swap and train.check_memory is on. Bytes.
void expect_memory(const TrainingMemory& memory, const TrainConfig& config, uint64_t available,
                   uint64_t swap = 0);

}  // namespace icedit
