#pragma once
// What `icedit edit` says about its work: lines for people while it runs, JSON for machines at the
// end.
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/progress.h"
#include "cli/edit_jobs.h"
#include "edit/recipe.h"

namespace icedit::cli {

// Seconds per stage, and the bar of the denoising.
class StageClock {
 public:
  // `jobs` of the run. The same stage again adds to its time.
  explicit StageClock(size_t jobs) : jobs_(jobs) {}

  void begin(const std::string& stage);
  // Of the `number`-th job (from 1), over all its images.
  void begin_denoising(int64_t steps, int64_t number);
  void step(int64_t done);
  void end();
  const std::vector<std::pair<std::string, double>>& seconds() const { return seconds_; }

 private:
  using Clock = std::chrono::steady_clock;
  size_t jobs_;
  std::string stage_;
  Clock::time_point start_;
  std::unique_ptr<Progress> bar_;
  std::vector<std::pair<std::string, double>> seconds_;
};

// "11 of 28 steps asked the network; estimated 54.2 dB from all of them".
std::string speed_text(const SpeedFigures& figures);

struct Written {
  Path file;
  const EditJob* job;
  int width = 0, height = 0;
  EditSettings settings;                     // resolved
  size_t step = 0;                           // of a chain, from 1; 0: it is none
  std::optional<DetailFigures> detail = {};  // where the input's was kept
  std::optional<SpeedFigures> speed = {};    // where fewer calls were asked for
};

struct Failure {  // an input that was left out
  const EditJob* job;
  std::string message;
  ExitCode code;
};

Json edit_result_json(const RunRecord& run, const std::vector<Written>& written,
                      const std::vector<Failure>& failures, const StageClock& clock,
                      double total_seconds, int threads);

}  // namespace icedit::cli
