#include "train/run.h"

#include <algorithm>
#include <ctime>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/process.h"
#include "base/progress.h"
#include "edit/device.h"
#include "train/log_lines.h"
#include "train/memory.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

std::string timestamp() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &local);
  return text;
}

// The last run below `save_path` that has a checkpoint.
Path latest_run(const std::string& save_path) {
  std::error_code ignored;
  std::vector<Path> runs;
  for (const auto& entry : fs::directory_iterator(save_path, ignored))
    if (entry.is_directory() && has_checkpoint(entry.path())) runs.push_back(entry.path());
  if (runs.empty())
    throw NoInputError(str(save_path,
                           " has no run with a checkpoint; leave out --resume, or name "
                           "the run's folder"));
  return *std::max_element(runs.begin(), runs.end());
}

std::optional<LoadedCheckpoint> checkpoint_to_resume(const TrainConfig& config,
                                                     const RunOptions& options, bool restarted) {
  if (options.resume == "latest") return load_checkpoint(latest_run(config.save_path));
  if (!options.resume.empty()) return load_checkpoint(options.resume);
  // torchrun starts all ranks anew with the same arguments after one has died.
  if (restarted && !options.run_folder.empty() && has_checkpoint(options.run_folder))
    return load_checkpoint(options.run_folder);
  return std::nullopt;
}

ResidencyOptions residency_options(const TrainConfig& config, const std::string& device) {
  ResidencyOptions options;
  options.device = choose_device(device);
  options.keep = Keep::kAll;
  options.dtype = config.dtype == "float32"    ? DtypeChoice::kF32
                  : config.dtype == "bfloat16" ? DtypeChoice::kBF16
                                               : DtypeChoice::kAuto;
  return options;
}

class Run {
 public:
  Run(const TrainConfig& config, const RunOptions& options)
      : config_(config),
        options_(options),
        env_(LaunchEnv::read()),
        group_(make_group(env_)),
        checkpoint_(checkpoint_to_resume(config, options, env_.restart_count > 0)),
        folder_(checkpoint_                   ? checkpoint_->folder.parent_path()
                : !options.run_folder.empty() ? Path(options.run_folder)
                                              : Path(config.save_path) / timestamp()),
        dataset_(config.dataset),
        quarantine_(group_->is_first() ? folder_ / "quarantine.jsonl" : Path(),
                    config.max_bad_rows),
        residency_(find_model(config), residency_options(config, options.device)) {
    group_->expect_equal("the configuration", effective_yaml(config));
    if (residency_.device().is_cpu())
      expect_memory(estimate_training(config, residency_), config, available_memory_bytes());
    const std::string statistics = dataset_.task_statistics();
    if (group_->is_first()) log::info(str(dataset_.size(), " pairs\n", statistics));
  }

  Path train() {
    Trainer trainer(config_, residency_, dataset_, quarantine_, *group_);
    if (checkpoint_) {
      trainer.resume(*checkpoint_);
      log::info(str(checkpoint_->folder.string(), ": goes on after step ", trainer.steps()));
    }
    if (group_->is_first()) begin_log();
    try {
      loop(trainer);
    } catch (const Interrupted&) {  // nothing of the step that was running counts
      if (trainer.steps() > saved_) save(trainer);
      throw;
    }
    if (trainer.steps() > saved_) save(trainer);
    return folder_;
  }

 private:
  static ModelFiles find_model(const TrainConfig& config) {
    ModelRequest request;
    request.model = config.flux_path;
    return ModelFiles::find(request);
  }

  void begin_log() {
    fs::create_directories(folder_);
    const std::string yaml = effective_yaml(config_);
    write_text_atomically(folder_ / "config.yaml", yaml);
    log_.emplace(folder_, yaml);
    log::info("run: " + folder_.string());
  }

  int64_t last_step() const {
    if (options_.steps == 0) return config_.max_steps;
    return config_.max_steps < 0 ? options_.steps : std::min(options_.steps, config_.max_steps);
  }

  void loop(Trainer& trainer) {
    std::optional<StepTrace> trace;
    if (!options_.trace.empty() && group_->is_first()) trace.emplace(options_.trace);
    trainer.trace_into(trace ? &*trace : nullptr);
    saved_ = trainer.steps();
    std::optional<Progress> bar;
    const int64_t last = last_step();
    if (group_->is_first()) bar.emplace("training", last, "step");
    while (last < 0 || trainer.steps() < last) {
      throw_if_interrupted();
      const StepFigures figures = trainer.step();
      if (log_) log_->step(figures);
      if (bar) bar->update(figures.step, progress_note(figures));
      if (config_.save_interval > 0 && figures.step % config_.save_interval == 0) save(trainer);
    }
    if (trace) trace->write();
  }

  void save(Trainer& trainer) {
    saved_ = trainer.steps();
    if (!group_->is_first()) return;
    try {
      const Path path = save_checkpoint(folder_, trainer.state(), int(config_.keep_checkpoints));
      log::verbose("saved " + path.string());
    } catch (const IoError& error) {  // the run is worth more than one checkpoint
      log::warn(str(error.what(), "; the run goes on, the checkpoints before are whole"));
    }
  }

  const TrainConfig& config_;
  const RunOptions& options_;
  LaunchEnv env_;
  std::unique_ptr<Group> group_;
  std::optional<LoadedCheckpoint> checkpoint_;
  Path folder_;
  EditDataset dataset_;
  Quarantine quarantine_;
  Residency residency_;
  std::optional<RunLog> log_;
  int64_t saved_ = 0;  // the step of the last checkpoint
};

}  // namespace

Path run_training(const TrainConfig& config, const RunOptions& options) {
  for (const std::string& key : config.without_effect)
    log::info(key + " has no effect: the objective does not read it");
  return Run(config, options).train();
}

}  // namespace icedit
