#pragma once
// The edits of a few pairs, always the same, with what is trained as it stands: to watch a run.
#include <functional>
#include <vector>

#include "train/samples.h"
#include "train/trainer.h"

namespace icedit {

class Previews {
 public:
  // Reads pairs as the trainer sees them: evenly spaced ones of train.sample_data, else the first
  // of `dataset`; one that cannot be read or has no instruction is passed over. `config` outlives
  // this. Throws UsageError, DataError: there is none.
  Previews(const TrainConfig& config, const EditDataset& dataset);

  const std::vector<std::string>& prompts() const { return prompts_; }

  // [source | target | edit], a row for each pair, by the moving averages where there are any. Pair
  // i always has the seed train.seed + i: the edits differ only by what was learnt. Training is not
  // touched: no gradient, no stream of draws. `on_progress` is called at every denoising step.
  // Throws Interrupted, CheckpointError (an edit that is not finite).
  Image make(Trainer& trainer, const std::function<void()>& on_progress) const;

 private:
  const TrainConfig& config_;
  std::vector<SampleRow> pairs_;  // source and target
  std::vector<std::string> prompts_;
};

}  // namespace icedit
