#pragma once
// The loaded model and what it does with a job. All of it belongs to one thread, the worker's.
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "edit/memory_plan.h"
#include "edit/recipe.h"
#include "edit/request_reader.h"
#include "server/job.h"
#include "server/metrics.h"
#include "server/options.h"

namespace icedit::server {

// What requests need to know of the model, from any thread.
struct ModelFacts {
  std::string name;  // without folders
  ModelDefaults defaults;
  std::vector<std::string> adapters;  // names, the default first
  std::vector<double> scales;         // of each where a request names it without a scale
};

class Engine {
 public:
  // Loads the model, as far as it stays in memory.
  Engine(const Options& options, ModelFiles files, ResidencyOptions residency,
         const MemoryLimit& memory, Metrics& metrics);

  const ModelFacts& facts() const { return facts_; }

  // Whether they may be edited together, as far as can be told before their pictures are read.
  static bool go_together(const Job& a, const Job& b);

  // Edits, and ends every job in one way or another: one, or several that go together, of which
  // those of one size are denoised at once. `stop`: asked between steps, beside the jobs' own
  // cancellation; throws to end them.
  void run(const std::vector<std::shared_ptr<Job>>& jobs, const StopCheck& stop);

 private:
  struct Work;
  std::optional<Work> begin(Job& job);
  void edit(const std::vector<Work*>& works, const StopCheck& stop);
  void deliver(Work& work, std::vector<EditedImage> images);
  void end_badly(Job& job);  // in a handler: by what was thrown
  void use_adapters(const std::vector<double>& scales);
  EditRequest read(const JobInput& input);
  EditHooks hooks(const std::vector<Work*>& works, const StopCheck& stop);
  void add_previews(Job& job, EditHooks& hooks);
  RunRecord run_record();
  std::shared_ptr<const JobResult> result(const JobInput& input, const EditRequest& request,
                                          EditedImage edited, size_t index, Recipe& recipe);

  Metrics& metrics_;
  Editor editor_;
  const ReadOptions read_;
  RequestReader reader_;
  RunRecord all_;  // with every adapter
  ModelFacts facts_;
  std::chrono::steady_clock::time_point last_{};  // of what is timed: a stage, a step, a preview
};

}  // namespace icedit::server
