#include "cli/edit_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/counted.h"
#include "base/log.h"
#include "base/process.h"
#include "edit/pipeline.h"

namespace icedit::cli {
namespace {

double milliseconds_kept(double seconds) {
  return std::round(seconds * 1000) / 1000;
}

}  // namespace

void StageClock::begin(const std::string& stage) {
  end();
  stage_ = stage;
  start_ = Clock::now();
  if (stage != kDenoisingStage) log::info(stage);
}

void StageClock::begin_denoising(int64_t steps, int64_t number) {
  begin(kDenoisingStage);
  const std::string which = jobs_ > 1 ? str(" ", number, "/", jobs_) : "";
  log::info(str(kDenoisingStage, which, ", ", counted(steps, "step")));
  bar_ = std::make_unique<Progress>(kDenoisingStage + which, steps, "step");
}

void StageClock::step(int64_t done) {
  bar_->update(done);
}

void StageClock::end() {
  bar_.reset();
  if (stage_.empty()) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const auto same = [this](const auto& entry) { return entry.first == stage_; };
  const auto found = std::find_if(seconds_.begin(), seconds_.end(), same);
  if (found != seconds_.end()) {
    found->second += seconds;
  } else {
    seconds_.emplace_back(stage_, seconds);
  }
  stage_.clear();
}

std::string speed_text(const SpeedFigures& f) {
  std::string text = str(f.calls, " of ", counted(f.steps, "step"), " asked the network");
  if (!f.decibels) return text;
  char decibels[32];
  std::snprintf(decibels, sizeof decibels, "%.1f", *f.decibels);
  return text + str("; estimated ", decibels, " dB from all of them");
}

Json edit_result_json(const RunRecord& run, const std::vector<Written>& written,
                      const std::vector<Failure>& failures, const StageClock& clock,
                      double total_seconds, int threads) {
  Json json;
  json["outputs"] = Json::array();
  for (const Written& w : written) {
    Json output;
    output["file"] = w.file.string();
    output["input"] = w.job->settings.image;
    if (w.step > 0) output["step"] = w.step;
    if (!w.job->settings.mask.empty()) output["mask"] = w.job->settings.mask;
    output["seed"] = *w.settings.seed;
    output["width"] = w.width;
    output["height"] = w.height;
    output["settings"] = settings_json(w.settings);
    if (w.detail) output["detail"] = detail_json(*w.detail);
    if (w.speed) output["speed"] = speed_json(*w.speed);
    json["outputs"].push_back(output);
  }
  json["failures"] = Json::array();
  for (const Failure& failure : failures)
    json["failures"].push_back({{"input", failure.job->settings.image},
                                {"error", failure.message},
                                {"exit_code", static_cast<int>(failure.code)}});
  for (const auto& [stage, seconds] : clock.seconds())
    json["seconds"][stage] = milliseconds_kept(seconds);
  json["seconds"]["total"] = milliseconds_kept(total_seconds);
  json["peak_memory_bytes"] = peak_memory_bytes();
  json["threads"] = threads;
  json.update(run_json(run));
  return json;
}

}  // namespace icedit::cli
