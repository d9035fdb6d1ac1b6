#include "train/run.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/process.h"
#include "base/progress.h"
#include "edit/device.h"
#include "nn/large_blocks.h"
#include "train/checkpoint_folder.h"
#include "train/log_lines.h"
#include "train/memory.h"
#include "train/previews.h"
#include "train/run_place.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

// On several GPUs each rank has its own.
at::Device device_of(const std::string& text, const LaunchEnv& env) {
  const bool own = !env.alone() && (text == "cuda" || text == "auto");
  const at::Device device = choose_device(text);
  return own && device.is_cuda() ? choose_device(str("cuda:", env.local_rank)) : device;
}

GroupOptions group_options(at::Device device) {
  GroupOptions options;
  options.backend = device.is_cuda() ? "nccl" : "gloo";
  return options;
}

ResidencyOptions residency_options(const TrainConfig& config, at::Device device) {
  ResidencyOptions options;
  options.device = device;
  options.keep = Keep::kAll;
  options.let_go_from = std::numeric_limits<uint64_t>::max();  // all is used again and again
  options.dtype = config.dtype;
  options.quant = config.base_quant;
  return options;
}

ModelFiles find_model(const TrainConfig& config) {
  ModelRequest request;
  request.model = config.flux_path;
  return ModelFiles::find(request);
}

class Run {
 public:
  Run(const TrainConfig& config, const RunOptions& options)
      : config_(config),
        options_(options),
        env_(LaunchEnv::read()),
        device_(device_of(options.device, env_)),
        group_(make_group(env_, group_options(device_))),
        run_((expect_same_start(), find_run(config, options, env_, *group_))),
        dataset_(config.dataset),
        quarantine_(group_->is_first() ? run_.folder / "quarantine.jsonl" : Path(),
                    config.max_bad_rows),
        residency_(find_model(config), residency_options(config, device_)) {
    if (residency_.device().is_cpu())
      expect_memory(estimate_training(config, residency_), config, available_memory_bytes(),
                    free_swap_bytes());
    const std::string statistics = dataset_.task_statistics();
    if (group_->is_first())
      log::info(str(dataset_.size(), " pairs", statistics.empty() ? "" : "\n", statistics));
  }

  Path train() {
    const int64_t done = run_.checkpoint ? run_.checkpoint->state.step : 0;
    if (run_.checkpoint && last_step() >= 0 && done >= last_step()) {
      log::info(complete(done));
      return group_->is_first() ? run_.folder : Path();
    }
    if (group_->is_first()) expect_writable(run_.folder);
    keep_large_blocks(kEveryBlock);  // a step has the sizes of the one before
    if (samples() && group_->is_first()) previews_.emplace(config_, dataset_);
    Trainer trainer(config_, residency_, dataset_, quarantine_, *group_,
                    last_step() < 0 ? -1 : last_step() - done,
                    run_.checkpoint ? &*run_.checkpoint : nullptr,
                    previews_ ? previews_->prompts() : std::vector<std::string>());
    if (run_.checkpoint)
      log::info(str(run_.checkpoint->folder.string(), ": goes on after step ", trainer.steps()));
    if (group_->is_first()) begin_log(trainer.steps());
    try {
      loop(trainer);
    } catch (const Interrupted& error) {  // nothing of the step that was running counts
      throw Interrupted(error.what() + saved_rest(trainer));
    } catch (const PeerError& error) {
      throw PeerError(error.what() + saved_rest(trainer));
    } catch (const DataError& error) {
      throw DataError(error.what() + saved_rest(trainer));
    }
    save_rest(trainer, /*last=*/true);
    return group_->is_first() ? run_.folder : Path();
  }

 private:
  // Before anything is done with what could differ.
  void expect_same_start() {
    group_->expect_equal("the configuration", config_lines(config_));
    group_->expect_equal("--resume, --run-folder or --steps",
                         str("--resume ", options_.resume, "\n--run-folder ", options_.run_folder,
                             "\n--steps ", options_.steps));
  }

  void begin_log(int64_t steps) {
    fs::create_directories(run_.folder);
    const std::string yaml = effective_yaml(config_);
    write_text_atomically(run_.folder / "config.yaml", yaml);
    log_.emplace(run_.folder, yaml, steps);
    log::info("run: " + run_.folder.string());
  }

  int64_t last_step() const {
    if (options_.steps == 0) return config_.max_steps;
    return config_.max_steps < 0 ? options_.steps : std::min(options_.steps, config_.max_steps);
  }

  std::string complete(int64_t done) const {
    const bool by_steps = options_.steps > 0 && last_step() == options_.steps;
    const char* key = by_steps ? "--steps" : "train.max_steps";
    const bool over = !by_steps && config_.lr_schedule == RateCurve::kCosine;
    return str(run_.checkpoint->folder.string(), ": the run is complete at step ", done, " (", key,
               " ", last_step(), "); ",
               over ? "its cosine schedule ends there" : str("a larger ", key, " goes on"));
  }

  // A trace is of few steps, and not about pictures.
  bool samples() const { return config_.sample_interval > 0 && options_.trace.empty(); }

  bool is_due(int64_t interval, int64_t step) const {
    return step == last_step() || (interval > 0 && step % interval == 0);
  }

  void loop(Trainer& trainer) {
    std::optional<StepTrace> trace;
    if (!options_.trace.empty() && group_->is_first()) trace.emplace(options_.trace);
    trainer.trace_into(trace ? &*trace : nullptr);
    saved_ = trainer.steps();
    std::optional<Progress> bar;
    const int64_t last = last_step();
    if (group_->is_first()) bar.emplace("training", last, "step");
    if (samples() && trainer.steps() % config_.sample_interval == 0) sample(trainer, /*once=*/true);
    while (last < 0 || trainer.steps() < last) {
      throw_if_interrupted();
      const StepFigures figures = trainer.step();
      if (log_) log_->step(figures);
      if (bar) bar->update(figures.step, progress_note(figures));
      if (is_due(config_.save_interval, figures.step)) save(trainer);
      if (samples() && is_due(config_.sample_interval, figures.step)) sample(trainer);
    }
    if (trace) trace->write();
  }

  // The other ranks wait here, hearing from the first at every denoising step, so that none of them
  // believes it dead.
  void sample(Trainer& trainer, bool once = false) {
    const Tensor over = at::zeros({1}, at::kFloat);
    const bool others = group_->size() > 1;
    while (!group_->is_first() && over.item<float>() == 0) group_->broadcast(over);
    if (!group_->is_first()) return;
    if (!once || !fs::exists(log_->sample_file(trainer.steps()))) {
      try {
        const auto alive = [&] {
          if (others) group_->broadcast(over);
        };
        log_->sample(trainer.steps(), previews_->make(trainer, alive));
      } catch (const CheckpointError& error) {  // a run is worth more than its pictures
        log::warn(str("no sample at step ", trainer.steps(), ": ", error.what()));
      }
    }
    over.fill_(1);
    if (others) group_->broadcast(over);
  }

  // What no checkpoint has yet.
  void save_rest(Trainer& trainer, bool last = false) {
    if (trainer.steps() > saved_) save(trainer, last);
  }

  // And for the error that ends the run: what there is to go on from.
  std::string saved_rest(Trainer& trainer) {
    if (!group_->is_first()) return "";
    if (!trainer.is_finite()) return "; " + last_good();
    save_rest(trainer);
    if (saved_ == 0) return "";
    return str("; saved ", last_saved(), "; go on with --resume ", run_.folder.string());
  }

  std::string last_saved() const { return (run_.folder / str("step-", saved_)).string(); }

  std::string last_good() const {
    if (saved_ == 0) return "no checkpoint was saved before";
    return str("the last good checkpoint is ", last_saved(),
               config_.mode == TrainMode::kFull
                   ? ""
                   : ", from whose adapter a run with other settings starts: train.init_lora");
  }

  void save(Trainer& trainer, bool last = false) {
    if (!group_->is_first()) return;
    // Nor may it push a good one out.
    if (!trainer.is_finite()) {
      const std::string what = str("step ", trainer.steps(), " is not finite and is not saved; ");
      if (last) throw DataError(what + last_good());
      return log::warn(what + last_good());
    }
    try {
      const Path path =
          save_checkpoint(run_.folder, trainer.state(), int(config_.keep_checkpoints), &whole_);
      saved_ = trainer.steps();
      log::verbose("saved " + path.string());
    } catch (const IoError& error) {  // the run is worth more than one checkpoint
      if (last) throw;
      log::warn(str(error.what(), "; the run goes on, the checkpoints before are whole"));
    }
  }

  const TrainConfig& config_;
  const RunOptions& options_;
  LaunchEnv env_;
  at::Device device_;
  std::unique_ptr<Group> group_;
  RunPlace run_;
  EditDataset dataset_;
  Quarantine quarantine_;
  Residency residency_;
  std::optional<RunLog> log_;
  std::optional<Previews> previews_;
  int64_t saved_ = 0;  // the step of the last checkpoint
  WholeSteps whole_;
};

}  // namespace

Residency training_residency(const TrainConfig& config, const std::string& device) {
  return {find_model(config), residency_options(config, device_of(device, LaunchEnv::read()))};
}

Path run_training(const TrainConfig& config, const RunOptions& options) {
  if (LaunchEnv::read().rank > 0) log::set_level(log::Level::kQuiet);  // rank 0 speaks for all
  for (const std::string& key : config.without_effect)
    log::info(key + " has no effect: the published code carries it along, too");
  return Run(config, options).train();
}

}  // namespace icedit
