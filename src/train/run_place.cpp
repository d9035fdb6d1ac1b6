#include "train/run_place.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/error.h"
#include "dist/rendezvous.h"
#include "train/checkpoint_folder.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

// save_path/YYYYMMDD-HHMMSS, or -2, -3 where that is taken; made here, so that it is no other
// run's.
Path new_folder(const std::string& save_path) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &local);
  Path folder = Path(save_path) / text;
  expect_writable(folder);
  std::error_code error;
  fs::create_directories(save_path, error);
  for (int i = 2; !error && !fs::create_directory(folder, error); ++i)
    folder = Path(save_path) / str(text, "-", i);
  if (error) throw IoError(str(folder.string(), " cannot be made: ", error.message()));
  return folder;
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

// What the arguments mean, to be loaded: "" for a new run.
Path place_to_resume(const TrainConfig& config, const RunOptions& options) {
  const Path given = options.resume, folder = options.run_folder;
  if (given.empty()) return given;
  if (given == "latest") return folder.empty() ? latest_run(config.save_path) : folder;
  if (!folder.empty() && same_place(run_folder_of(given)) != same_place(folder))
    throw UsageError(str("--resume ", given.string(), " goes on in ", run_folder_of(given).string(),
                         ", and not in --run-folder ", folder.string(),
                         "; leave --run-folder out"));
  return given;
}

RunPlace decide(const TrainConfig& config, const RunOptions& options, const LaunchEnv& env) {
  // What was resumed may be gone after a restart (keep_checkpoints), so it is looked for only where
  // it is needed.
  const auto first_folder = [&]() -> std::string {
    const Path place = place_to_resume(config, options);
    if (!place.empty()) return run_folder_of(place);
    return options.run_folder.empty() ? new_folder(config.save_path) : Path(options.run_folder);
  };
  RunPlace run;
  const Kept kept = kept_over_restarts(env, "run_folder", first_folder);
  run.folder = kept.value;
  const bool again = kept.from_before || env.restart_count > 0;
  // Held before it is looked into; one that is not there yet is made once nothing speaks against
  // it.
  if (fs::is_directory(run.folder)) run.held = std::make_unique<RunFolder>(run.folder);
  if (again && has_checkpoint(run.folder)) {
    run.checkpoint = load_checkpoint(run.folder);
  } else if (const Path place = place_to_resume(config, options); !place.empty()) {
    run.checkpoint = load_checkpoint(place);
  } else if (has_checkpoint(run.folder)) {
    throw UsageError(str(run.folder.string(), " holds a run already; go on with --resume ",
                         run.folder.string(), ", or give another --run-folder"));
  }
  if (!run.held) run.held = std::make_unique<RunFolder>(run.folder);
  return run;
}

}  // namespace

void expect_writable(const Path& run_folder) {
  std::error_code ignored;
  Path there = fs::absolute(run_folder);
  while (!fs::exists(there, ignored) && there.has_relative_path()) there = there.parent_path();
  const bool folder = fs::is_directory(there, ignored);
  if (folder && ::access(there.c_str(), W_OK | X_OK) == 0) return;
  throw IoError(str(run_folder.string(), ": a run cannot be kept there, as ", there.string(),
                    folder ? str(" cannot be written: ", std::strerror(errno)) : " is no folder",
                    "; give another --run-folder or train.save_path"));
}

RunFolder::RunFolder(const Path& folder) : folder_(folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    expect_writable(folder);
    fs::create_directories(folder, error);
    if (error) throw IoError(str(folder.string(), " cannot be made: ", error.message()));
  }
  lock_ = ProcessLock::on_folder(folder);
  if (!lock_)
    throw UsageError(str(folder.string(),
                         " is of a run that is under way in another process; wait until it has "
                         "ended, or give another --run-folder"));
}

RunFolder::~RunFolder() {
  std::error_code ignored;
  if (fs::is_empty(folder_, ignored)) fs::remove(folder_, ignored);
}

RunPlace find_run(const TrainConfig& config, const RunOptions& options, const LaunchEnv& env,
                  Group& group) {
  RunPlace run;
  if (group.is_first()) run = decide(config, options, env);
  if (group.size() == 1) return run;
  const Path own = run.checkpoint ? fs::absolute(run.checkpoint->folder) : Path();
  const Path checkpoint = group.broadcast_text(own.string());
  run.folder = group.broadcast_text(run.folder.string());
  if (!group.is_first() && !checkpoint.empty()) run.checkpoint = load_checkpoint(checkpoint);
  group.expect_equal("the checkpoint", str(run.checkpoint ? run.checkpoint->state.step : -1));
  return run;
}

}  // namespace icedit
