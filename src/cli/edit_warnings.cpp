#include "cli/edit_warnings.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "cli/output_names.h"
#include "edit/warnings.h"

namespace icedit::cli {
namespace {

bool is_png(const Path& output) {
  return output == kStandardOutput || format_of(output) == ImageFormat::kPng;
}

bool writes_only_pngs(const std::vector<EditJob>& jobs) {
  return std::all_of(jobs.begin(), jobs.end(), [](const EditJob& job) {
    return std::all_of(job.outputs.begin(), job.outputs.end(), is_png);
  });
}

}  // namespace

std::vector<std::string> settings_warnings(const EditOptions& options,
                                           const std::vector<EditJob>& jobs,
                                           const ModelDefaults& defaults) {
  std::vector<std::string> lines;
  std::set<int64_t> widths;
  int64_t most_steps = 0;
  bool quality = false;
  for (const EditJob& job : jobs) {
    const EditRequest& r = job.settings.request;
    widths.insert(r.width.value_or(defaults.width));
    most_steps = std::max(most_steps, r.steps.value_or(defaults.num_inference_steps));
    quality = quality || job.settings.quality.has_value();
  }
  for (const int64_t width : widths) {
    const std::string line = width_warning(width, defaults);
    if (!line.empty()) lines.push_back(line);
  }
  if (options.preview_every > most_steps) {
    lines.push_back(str("--preview ", options.preview_every, " is more than the ", most_steps,
                        " steps, so there will be no preview; give at most ", most_steps));
  }
  if (quality && writes_only_pngs(jobs)) {
    lines.push_back(
        "--quality does nothing for PNG, which is lossless; name the output .jpg or .webp for a "
        "smaller file");
  }
  return lines;
}

}  // namespace icedit::cli
