#pragma once
// What a run leaves behind to be read: metrics.jsonl and TensorBoard's event file.
#include <fstream>
#include <memory>

#include "io/events.h"
#include "train/trainer.h"

namespace icedit {

class RunLog {
 public:
  // In a run's folder; metrics.jsonl is appended to. Throws IoError.
  RunLog(const Path& run_folder, const std::string& config_text);

  // A line of metrics.jsonl, scalars. A disk that is full ends neither the run nor this.
  void step(const StepFigures& figures);

 private:
  Path metrics_file_;
  std::ofstream metrics_;
  EventFile events_;
  bool warned_ = false;
};

// "loss 0.123  gradient mean 0.01 max 0.2  0.45 s": behind the progress bar.
std::string progress_note(const StepFigures& figures);

}  // namespace icedit
