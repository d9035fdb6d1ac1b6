#pragma once
// Whether a run may go on from a checkpoint: its settings, its ranks and its data.
#include "data/dataset.h"
#include "train/config.h"
#include "train/run_checkpoint.h"

namespace icedit {

// Reads a few rows.
DataMark mark_of(const EditDataset& dataset);

// Throws UsageError: settings that change what is computed, with both values; another number of
// micro-batches a step (ranks x accumulate_grad_batches), with what would fit; another number of
// pairs. Warns where there are as many pairs, but others. What a checkpoint does not say, as it was
// made before it was written there, is taken to be the same.
void expect_resumable(const LoadedCheckpoint& checkpoint, const TrainConfig& config,
                      const DataMark& data, int ranks);

}  // namespace icedit
