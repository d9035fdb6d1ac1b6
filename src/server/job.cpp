#include "server/job.h"

#include "http/message.h"

namespace icedit::server {

Job::Job(std::string id, std::string client, JobInput given)
    : id(std::move(id)),
      client(std::move(client)),
      created(http::now_seconds()),
      images(given.settings.request.num_images),
      input(std::move(given)),
      bytes_(input.image.size() + input.mask.size()) {}

JobStatus Job::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

std::chrono::steady_clock::time_point Job::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

size_t Job::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

void Job::listen(Listener listener) {
  const std::lock_guard lock(mutex_);
  if (status_.over()) return listener(Change::kOver, status_);
  listeners_.push_back(std::move(listener));
}

void Job::change(Change what) {
  for (const Listener& listener : listeners_) listener(what, status_);
}

void Job::end(JobState state) {
  status_.state = state;
  status_.preview = nullptr;
  ended_ = std::chrono::steady_clock::now();
  input.image = {}, input.mask = {};
  bytes_ = 0;
  for (const auto& result : status_.results)
    bytes_ += result->bytes.size() + result->model_bytes.size();
  change(Change::kOver);
  listeners_.clear();
}

void Job::set_position(size_t position) {
  const std::lock_guard lock(mutex_);
  if (status_.position == position || status_.state != JobState::kQueued) return;
  status_.position = position;
  change(Change::kPosition);
}

bool Job::start() {
  const std::lock_guard lock(mutex_);
  if (status_.state != JobState::kQueued) return false;
  status_.state = JobState::kRunning;
  status_.position = 0;
  change(Change::kStage);
  return true;
}

void Job::set_stage(const std::string& stage) {
  const std::lock_guard lock(mutex_);
  if (status_.over()) return;
  status_.stage = stage;
  change(Change::kStage);
}

void Job::set_step(int64_t image, int64_t step, int64_t steps) {
  const std::lock_guard lock(mutex_);
  if (status_.over()) return;
  if (image != status_.image) status_.preview_index = 0;
  status_.image = image, status_.step = step, status_.steps = steps;
  change(Change::kStep);
}

void Job::set_preview(std::string png) {
  const std::lock_guard lock(mutex_);
  status_.preview = std::make_shared<const std::string>(std::move(png));
  change(Change::kPreview);
  ++status_.preview_index;
}

void Job::finish(std::vector<std::shared_ptr<const JobResult>> results) {
  const std::lock_guard lock(mutex_);
  status_.results = std::move(results);
  end(JobState::kDone);
}

void Job::fail(Problem problem) {
  const std::lock_guard lock(mutex_);
  status_.problem = std::move(problem);
  end(JobState::kFailed);
}

void Job::end_cancelled() {
  const std::lock_guard lock(mutex_);
  if (!status_.over()) end(JobState::kCancelled);
}

}  // namespace icedit::server
