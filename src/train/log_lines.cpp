#include "train/log_lines.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "io/json.h"

namespace icedit {

namespace {

constexpr int64_t kExpertInterval = 10;  // steps

// Drops the lines of steps that a run which goes on takes again. Returns the file.
Path keep_steps(const Path& file, int64_t steps) {
  std::ifstream in(file);
  std::string kept;
  bool all = true;
  for (std::string line; std::getline(in, line);) {
    const auto json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    const auto step = json.is_object() ? json.find("step") : json.end();
    const bool keep =
        step != json.end() && step->is_number_integer() && step->get<int64_t>() <= steps;
    if (keep) kept += line + "\n";
    all = all && keep;
  }
  if (!all) write_text_atomically(file, kept);
  return file;
}

}  // namespace

RunLog::RunLog(const Path& run_folder, const std::string& config_text, int64_t steps)
    : folder_(run_folder),
      metrics_file_(keep_steps(run_folder / "metrics.jsonl", steps)),
      metrics_(metrics_file_, std::ios::app),
      events_(run_folder) {
  if (!metrics_)
    throw IoError(str(metrics_file_.string(), " cannot be written; is the disk full?"));
  if (steps > 0) events_.starts_after(steps);
  events_.text("config", "```yaml\n" + config_text + "```", 0);
}

// Figures and pictures are not worth a run.
void RunLog::unless_full(const std::function<void()>& write) {
  try {
    write();
    warned_ = false;
  } catch (const IoError& error) {
    if (!warned_) log::warn(str(error.what(), "; the run goes on without these figures"));
    warned_ = true;
  }
}

void RunLog::step(const StepFigures& f) {
  Json line = {{"step", f.step}};
  std::vector<std::pair<std::string, double>> scalars;
  const auto figure = [&](const char* key, const char* tag, double value) {
    line[key] = value;
    scalars.emplace_back(tag, value);
  };
  if (f.bad.empty()) {
    figure("loss", "loss", f.loss);
    figure("loss_running", "loss_running", f.running_loss);
    figure("grad_mean", "grad/mean", f.gradient.mean);
    figure("grad_max", "grad/max", f.gradient.max);
    figure("grad_norm", "grad/norm", f.gradient.total);
  } else {
    line["skipped"] = f.bad;
  }
  figure("lr", "lr", f.lr);
  if (f.d) figure("d", "prodigy_d", *f.d);
  figure("seconds", "seconds_a_step", f.seconds);
  experts_.add(f.experts);
  if (!experts_.layers.empty() && f.step % kExpertInterval == 0) {
    figure("balance", "experts/balance", experts_.balance());
    for (size_t i = 0; i < experts_.layers.size(); ++i) {
      const std::vector<double> shares = experts_.shares(i);
      line["experts"][experts_.layers[i]] = shares;
      for (size_t e = 0; e < shares.size(); ++e)
        scalars.emplace_back(str("experts/", experts_.layers[i], "/", e), shares[e]);
    }
    experts_ = {};
  }
  unless_full([&] {
    metrics_ << line.dump() << std::endl;
    if (!metrics_) {
      metrics_.clear();
      throw IoError(metrics_file_.string() + " cannot be written");
    }
    for (const auto& [tag, value] : scalars) events_.scalar(tag, value, f.step);
  });
}

Path RunLog::sample_file(int64_t step) const {
  return folder_ / "samples" / str("step-", step, ".png");
}

void RunLog::sample(int64_t step, const Image& grid) {
  unless_full([&] {
    write_image(sample_file(step), grid);
    events_.image("samples", grid, step);
  });
}

std::string progress_note(const StepFigures& f) {
  char text[200];
  if (!f.bad.empty()) {
    std::snprintf(text, sizeof text, "not finite: skipped  %.2f s", f.seconds);
  } else {
    std::snprintf(text, sizeof text, "loss %.4f  gradient mean %.2e max %.2e  %.2f s",
                  f.running_loss, f.gradient.mean, f.gradient.max, f.seconds);
  }
  if (f.experts.layers.empty()) return text;
  double least = 1, most = 0;
  for (size_t i = 0; i < f.experts.layers.size(); ++i) {
    for (const double share : f.experts.shares(i)) {
      least = std::min(least, share);
      most = std::max(most, share);
    }
  }
  char experts[60];
  std::snprintf(experts, sizeof experts, "  experts %.0f-%.0f %%", 100 * least, 100 * most);
  return str(text, experts);
}

}  // namespace icedit
