#pragma once
// What a run leaves behind to be read: metrics.jsonl and TensorBoard's event file.
#include <fstream>
#include <functional>
#include <memory>

#include "io/events.h"
#include "train/trainer.h"

namespace icedit {

class RunLog {
 public:
  // In a run's folder. A run that goes on after `steps` appends to metrics.jsonl, less what it
  // holds of later steps, which TensorBoard is told to forget too. Throws IoError.
  RunLog(const Path& run_folder, const std::string& config_text, int64_t steps = 0);

  // A line of metrics.jsonl, scalars. Every tenth step has the use of each expert since the last
  // time. A disk that is full ends neither the run nor this.
  void step(const StepFigures& figures);
  // samples/step-N.png, and in the event file. The same of a full disk.
  void sample(int64_t step, const Image& grid);
  Path sample_file(int64_t step) const;

 private:
  void unless_full(const std::function<void()>& write);

  Path folder_;
  Path metrics_file_;
  std::ofstream metrics_;
  EventFile events_;
  ExpertUse experts_;
  bool warned_ = false;
};

// "loss 0.123  gradient mean 0.01 max 0.2  0.45 s  experts 12-41 %": behind the progress bar; the
// smallest and the largest share that an expert of any layer has.
std::string progress_note(const StepFigures& figures);

}  // namespace icedit
