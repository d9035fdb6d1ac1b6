#pragma once
// Where a run is kept, and what it goes on from: the same on all ranks, and after torchrun's
// restart.
#include <memory>
#include <optional>

#include "dist/group.h"
#include "io/process_lock.h"
#include "train/config.h"
#include "train/run.h"
#include "train/run_checkpoint.h"

namespace icedit {

// Throws IoError: this process may not write there; of a folder that is not there yet, in its
// nearest parent.
void expect_writable(const Path& run_folder);

// A run's folder while the run is under way: nobody else's, and gone again where nothing was
// written into it.
class RunFolder {
 public:
  // Makes it where it is not there. Throws IoError (it cannot be, or not be written to),
  // UsageError: another process is running there.
  explicit RunFolder(const Path& folder);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

 private:
  Path folder_;
  std::optional<ProcessLock> lock_;
};

struct RunPlace {
  Path folder;                                 // of the run
  std::optional<LoadedCheckpoint> checkpoint;  // none: a new run
  std::unique_ptr<RunFolder> held;             // by rank 0
};

// Rank 0 decides and the others follow. Ranks that torchrun has started anew go on in the folder
// of the first attempt, from its last checkpoint, whatever --resume and --run-folder say. Throws
// NoInputError and CheckpointError (nothing to go on from, or nothing whole), UsageError (a new run
// in the folder of another), and what RunFolder throws.
RunPlace find_run(const TrainConfig& config, const RunOptions& options, const LaunchEnv& env,
                  Group& group);

}  // namespace icedit
