#include "server/store.h"

#include <algorithm>

namespace icedit::server {

void JobStore::add(std::shared_ptr<Job> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  sweep();
}

std::shared_ptr<Job> JobStore::find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found =
      std::find_if(jobs_.begin(), jobs_.end(), [&](const auto& job) { return job->id == id; });
  return found == jobs_.end() ? nullptr : *found;
}

std::vector<std::shared_ptr<Job>> JobStore::under_way(const std::string& client) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Job>> found;
  for (const auto& job : jobs_) {
    if (job->client == client && !job->status().over()) found.push_back(job);
  }
  return found;
}

void JobStore::forget(const Job& job) {
  const std::lock_guard lock(mutex_);
  jobs_.remove_if([&](const auto& one) { return one.get() == &job; });
}

void JobStore::sweep() {
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  jobs_.remove_if(
      [&](const auto& job) { return job->status().over() && now - job->ended() > keep_; });
  uint64_t bytes = 0;  // from the newest on
  for (auto job = jobs_.end(); job != jobs_.begin();) {
    --job;
    if (!(*job)->status().over()) continue;
    bytes += (*job)->bytes();
    if (bytes > bytes_) job = jobs_.erase(job);
  }
}

uint64_t JobStore::bytes() const {
  const std::lock_guard lock(mutex_);
  uint64_t bytes = 0;
  for (const auto& job : jobs_) bytes += job->bytes();
  return bytes;
}

}  // namespace icedit::server
