#pragma once
// The loaded model and what it does with a job. All of it belongs to one thread, the worker's.
#include <functional>
#include <memory>

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
  // Loads the model, as far as it stays in memory. `low_memory`: one component at a time.
  Engine(const Options& options, ModelFiles files, ResidencyOptions residency, bool low_memory,
         Metrics& metrics);

  const ModelFacts& facts() const { return facts_; }

  // Edits, and ends the job in one way or another. `stop`: asked between steps, beside the job's
  // own cancellation; throws to end it.
  void run(Job& job, const StopCheck& stop);

 private:
  void use_adapters(const std::vector<double>& scales);
  EditRequest read(const JobInput& input);
  EditHooks hooks(Job& job, const StopCheck& stop);
  RunRecord run_record();
  std::shared_ptr<const JobResult> result(const JobInput& input, const EditRequest& request,
                                          EditedImage edited, size_t index, Recipe& recipe);

  Metrics& metrics_;
  Editor editor_;
  const ReadOptions read_;
  RequestReader reader_;
  RunRecord all_;  // with every adapter
  ModelFacts facts_;
};

}  // namespace icedit::server
