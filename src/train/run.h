#pragma once
// `icedit train`: a whole run, from its configuration to its last checkpoint.
#include <string>

#include "edit/residency.h"
#include "train/config.h"

namespace icedit {

struct RunOptions {
  std::string resume;      // "latest", a run's folder or a checkpoint; "": a new run
  std::string run_folder;  // of a new run; "": save_path/YYYYMMDD-HHMMSS
  int64_t steps = 0;       // ends after so many in all, the schedule as it is; 0: max_steps
  std::string trace;       // a file to write the steps of this process into; "": none
  std::string device = "auto";
};

// What is trained, with nothing of it loaded.
Residency training_residency(const TrainConfig& config, const std::string& device);

// The run's folder gets config.yaml, metrics.jsonl, an event file, quarantine.jsonl, step-N and
// `latest`. Rank 0 writes it. Returns it, on other ranks "". Throws Interrupted after Ctrl+C or
// SIGTERM, having saved.
Path run_training(const TrainConfig& config, const RunOptions& options);

}  // namespace icedit
