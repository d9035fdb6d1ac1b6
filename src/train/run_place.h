#pragma once
// Where a run is kept, and what it goes on from: the same on all ranks, and after torchrun's
// restart.
#include <optional>

#include "dist/group.h"
#include "train/config.h"
#include "train/run.h"
#include "train/run_checkpoint.h"

namespace icedit {

struct RunPlace {
  Path folder;                                 // of the run
  std::optional<LoadedCheckpoint> checkpoint;  // none: a new run
};

// Rank 0 decides and the others follow. Ranks that torchrun has started anew go on in the folder
// of the first attempt, from its last checkpoint, whatever --resume and --run-folder say. Throws
// NoInputError and CheckpointError (nothing to go on from, or nothing whole), UsageError (a new run
// in the folder of another).
RunPlace find_run(const TrainConfig& config, const RunOptions& options, const LaunchEnv& env,
                  Group& group);

}  // namespace icedit
