#pragma once
// One request for an edit, from its arrival to its pictures. Threads meet here: those that ask, the
// one that edits, those that tell of it.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "edit/edit_settings.h"
#include "io/image.h"
#include "server/request_error.h"

namespace icedit::server {

struct JobInput {
  EditSettings settings;       // `image` and `mask` are the uploads' names
  std::string image, mask;     // the files' bytes; no mask: ""
  bool mask_by_alpha = false;  // transparent is edited, as OpenAI has it; else white is
  std::vector<double> scales;  // of the server's adapters, in their order
  std::optional<Size> size;    // cropped to this aspect, and returned in this size
  ImageFormat format = ImageFormat::kPng;
  int64_t previews = 0;  // at most so many of each image
  bool previews_full = false;
  bool a1111 = false;  // asked for by its route: its progress and interrupt are of such jobs
};

struct JobResult {
  std::string bytes;        // the file
  std::string model_bytes;  // of an edit at full size: the model's own picture, a PNG; else ""
  ImageFormat format = ImageFormat::kPng;
  int width = 0, height = 0;
  int64_t tokens = 0;  // of the transformer, that became the picture
  uint64_t seed = 0;
  std::string recipe;  // JSON
};

enum class JobState { kQueued, kRunning, kDone, kFailed, kCancelled };

struct JobStatus {
  JobState state = JobState::kQueued;
  size_t position = 0;  // how many jobs are before it
  std::string stage;
  int64_t image = 0, step = 0, steps = 0;      // of the image, done and all
  std::shared_ptr<const std::string> preview;  // a PNG of it; nullptr: none yet
  int64_t preview_index = 0;                   // of that image, from 0
  std::vector<std::shared_ptr<const JobResult>> results;
  Problem problem;  // where it failed
  bool over() const { return state > JobState::kRunning; }
};

class Job {
 public:
  enum class Change { kPosition, kStage, kStep, kPreview, kOver };
  using Listener = std::function<void(Change, const JobStatus&)>;

  Job(std::string id, std::string client, JobInput input);

  const std::string id, client;
  const int64_t created;  // seconds since 1970
  const int64_t images;   // that were asked for
  JobInput input;         // the worker's, once it is running; pictures are let go of at its end

  JobStatus status() const;
  std::chrono::steady_clock::time_point ended() const;
  size_t bytes() const;  // that it holds

  // Called with every change, on the thread that makes it, until the job is over; at once where it
  // is over already. It must not call the job.
  void listen(Listener listener);

  void cancel() { cancelled_ = true; }  // a running one ends soon
  bool is_cancelled() const { return cancelled_; }

  // For the queue and the worker.
  void set_position(size_t position);
  bool start();  // false: it was cancelled before
  // Without effect where it is over.
  void set_stage(const std::string& stage);
  void set_step(int64_t image, int64_t step, int64_t steps);
  void set_preview(std::string png);
  void finish(std::vector<std::shared_ptr<const JobResult>> results);
  void fail(Problem problem);
  void end_cancelled();

 private:
  void change(Change what);  // with the lock held
  void end(JobState state);

  mutable std::mutex mutex_;
  JobStatus status_;
  std::vector<Listener> listeners_;
  std::chrono::steady_clock::time_point ended_{};
  size_t bytes_ = 0;
  std::atomic<bool> cancelled_{false};
};

}  // namespace icedit::server
