#include "train/log_lines.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"

namespace icedit {

RunLog::RunLog(const Path& run_folder, const std::string& config_text)
    : metrics_file_(run_folder / "metrics.jsonl"),
      metrics_(metrics_file_, std::ios::app),
      events_(run_folder) {
  if (!metrics_)
    throw IoError(str(metrics_file_.string(), " cannot be written; is the disk full?"));
  events_.text("config", "```yaml\n" + config_text + "```", 0);
}

void RunLog::step(const StepFigures& f) {
  nlohmann::ordered_json line = {{"step", f.step}};
  if (f.bad.empty()) {
    line["loss"] = f.loss;
    line["loss_running"] = f.running_loss;
    line["grad_mean"] = f.gradient.mean;
    line["grad_max"] = f.gradient.max;
    line["grad_norm"] = f.gradient.total;
  } else {
    line["skipped"] = f.bad;
  }
  line["lr"] = f.lr;
  line["seconds"] = f.seconds;
  try {
    metrics_ << line.dump() << std::endl;
    if (!metrics_) {
      metrics_.clear();
      throw IoError(metrics_file_.string() + " cannot be written");
    }
    if (!f.bad.empty()) return;
    events_.scalar("loss", f.loss, f.step);
    events_.scalar("loss_running", f.running_loss, f.step);
    events_.scalar("grad/mean", f.gradient.mean, f.step);
    events_.scalar("grad/max", f.gradient.max, f.step);
    events_.scalar("lr", f.lr, f.step);
    events_.scalar("seconds_a_step", f.seconds, f.step);
    warned_ = false;
  } catch (const IoError& error) {  // figures are not worth a run
    if (!warned_) log::warn(str(error.what(), "; the run goes on without these figures"));
    warned_ = true;
  }
}

std::string progress_note(const StepFigures& f) {
  char text[160];
  std::snprintf(text, sizeof text, "loss %.4f  gradient mean %.2e max %.2e  %.2f s", f.running_loss,
                f.gradient.mean, f.gradient.max, f.seconds);
  return text;
}

}  // namespace icedit
