#pragma once
// One optimizer step after the other: micro-batches, loss, gradients over all ranks, clipping,
// step.
#include <functional>
#include <memory>
#include <optional>

#include "dist/group.h"
#include "train/adapter_setup.h"
#include "train/conditioning.h"
#include "train/expert_use.h"
#include "train/run_checkpoint.h"
#include "train/schedule.h"
#include "train/trace.h"

namespace icedit {

struct StepFigures {
  int64_t step = 0;         // steps done, with this one
  double loss = 0;          // mean over the micro-batches of all ranks
  double running_loss = 0;  // 0.95 of the one before and 0.05 of this one, as published
  GradientFigures gradient;
  double lr = 0, seconds = 0;
  std::optional<double> d;  // Prodigy's, after this step: the rate in effect is d lr
  ExpertUse experts;        // of all ranks
  std::string bad;  // not empty: not finite, so the step was skipped; the layer where it began
};

class Trainer {
 public:
  // Fills the cache where there is one and the run will see most of the data, loads the transformer
  // and puts onto it what is trained. `planned`: the steps that will be taken, -1: many. `from`:
  // goes on from there. `prompts`: that will be asked for beside the data's. What headers and
  // settings tell to be wrong is said before anything is encoded or loaded. The arguments but
  // `prompts` outlive the trainer. Throws UsageError (of another run, too, as expect_resumable),
  // CheckpointError, Interrupted.
  Trainer(const TrainConfig& config, Residency& residency, const EditDataset& dataset,
          Quarantine& quarantine, Group& group, int64_t planned = -1,
          const LoadedCheckpoint* from = nullptr, const std::vector<std::string>& prompts = {});
  ~Trainer();

  // Throws Interrupted (nothing of the step was done), PeerError, DataError: too many bad rows, or
  // max_bad_steps in a row that were not finite.
  StepFigures step();

  int64_t steps() const { return step_; }
  int64_t epoch() const;
  const NamedTensors& parameters() const { return trainable_.parameters; }
  const Trainable& trainable() const { return trainable_; }
  Residency& residency() { return residency_; }
  PromptEmbeds text(const std::string& prompt) { return conditioner_.text(prompt); }
  void trace_into(StepTrace* trace);

  // Runs `f` with the moving averages in place of what is trained, where there are any.
  void with_averages(const std::function<void()>& f);
  // Whether the last step and what is trained are, so that it is worth keeping.
  bool is_finite() const;
  // Whether all that training asks of the text encoders and the VAE is cached.
  bool encoders_unused() const { return conditioner_.is_filled(); }

  RunState state() const;

 private:
  struct MicroBatch {
    StepInputs in;
    Tensor t, x_1;
  };
  void open_loader(int64_t start);
  void restore(const LoadedCheckpoint& checkpoint);
  at::Generator generator_for(const DrawKey& key);
  double micro_batch(int64_t micro);
  double gather_gradients(double loss, ExpertUse& experts);
  std::string skip(double loss);
  void update_ema();

  const TrainConfig& config_;
  Residency& residency_;
  const EditDataset& dataset_;
  Quarantine& quarantine_;
  Group& group_;
  DataMark data_mark_;
  ObjectiveOptions objective_;
  Trainable trainable_;
  std::unique_ptr<ExpertWatch> watch_;  // of a mixture
  std::unique_ptr<Optimizer> optimizer_;
  double base_lr_ = 0;
  RateSchedule schedule_;
  Conditioner conditioner_;
  std::unique_ptr<Loader> loader_;
  LoaderOptions loading_;
  at::Generator reference_draws_;
  NamedTensors ema_;
  StepTrace* trace_ = nullptr;
  std::optional<MicroBatch> last_;  // of the step that runs, to find where it went wrong
  // As after the last whole step.
  int64_t step_ = 0, position_ = 0, bad_steps_ = 0;
  std::vector<int64_t> draw_state_;
  Tensor generator_state_;
  double running_loss_ = -1;  // no step so far
};

}  // namespace icedit
