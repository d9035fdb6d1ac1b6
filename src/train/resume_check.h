#pragma once
// Whether a run may go on from a checkpoint: its settings, its ranks and its data.
#include "data/dataset.h"
#include "dist/group.h"
#include "train/config.h"
#include "train/run_checkpoint.h"

namespace icedit {

// Throws UsageError naming every key that differs, with both values. A key of `allowed` may differ,
// a key that only one of them has counts as a difference, and paths are the same where they lead to
// the same place.
void expect_same_settings(const LoadedCheckpoint& checkpoint,
                          const std::map<std::string, std::string>& wanted,
                          const std::vector<std::string>& allowed = {});

// Reads a few rows.
DataMark mark_of(const EditDataset& dataset);

// Throws UsageError on all ranks where one of them has other data.
void expect_same_rows(const DataMark& data, Group& group);

// Throws UsageError: settings that change what is computed, with both values; another number of
// micro-batches a step (ranks x accumulate_grad_batches), with what would fit; another number of
// pairs. Warns where there are as many pairs, but others. What a checkpoint does not say, as it was
// made before it was written there, is taken to be the same.
void expect_resumable(const LoadedCheckpoint& checkpoint, const TrainConfig& config,
                      const DataMark& data, int ranks);

}  // namespace icedit
