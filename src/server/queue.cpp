#include "server/queue.h"

#include <algorithm>

namespace icedit::server {

bool JobQueue::push(const std::shared_ptr<Job>& job) {
  const std::lock_guard lock(mutex_);
  const size_t of_one = std::max<size_t>(1, most_ * 3 / 4);
  const auto found = waiting_.find(job->client);
  if (count_ >= most_ || (found != waiting_.end() && found->second.size() >= of_one)) return false;
  if (count_ > 0 && bytes_ + job->bytes() > most_bytes_) return false;
  if (found == waiting_.end()) turns_.push_back(job->client);
  waiting_[job->client].push_back(job);
  ++count_;
  bytes_ += job->bytes();
  tell_positions();
  there_.notify_one();
  return true;
}

std::shared_ptr<Job> JobQueue::pop(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  if (!there_.wait_for(lock, most, [&] { return count_ > 0; })) return nullptr;
  std::shared_ptr<Job> job = take_first();
  tell_positions();
  return job;
}

std::vector<std::shared_ptr<Job>> JobQueue::pop_fitting(
    size_t most, const std::function<bool(const Job&)>& fits) {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Job>> jobs;
  // Every client whose turn passed without a job that fits goes back to where it was.
  std::list<std::string> passed;
  while (jobs.size() < most && !turns_.empty()) {
    if (fits(*waiting_[turns_.front()].front())) {
      jobs.push_back(take_first());
    } else {
      passed.splice(passed.end(), turns_, turns_.begin());
    }
  }
  turns_.splice(turns_.begin(), passed);
  tell_positions();
  return jobs;
}

std::shared_ptr<Job> JobQueue::take_first() {
  const std::string client = turns_.front();
  turns_.pop_front();
  auto& jobs = waiting_[client];
  std::shared_ptr<Job> job = std::move(jobs.front());
  jobs.pop_front();
  taken(*job);
  if (jobs.empty()) {
    waiting_.erase(client);
  } else {
    turns_.push_back(client);
  }
  return job;
}

bool JobQueue::remove(const Job& job) {
  const std::lock_guard lock(mutex_);
  const auto jobs = waiting_.find(job.client);
  if (jobs == waiting_.end()) return false;
  if (std::erase_if(jobs->second, [&](const auto& one) { return one.get() == &job; }) == 0)
    return false;
  taken(job);
  if (jobs->second.empty()) {
    waiting_.erase(jobs);
    turns_.remove(job.client);
  }
  tell_positions();
  return true;
}

size_t JobQueue::size() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

void JobQueue::taken(const Job& job) {
  --count_;
  bytes_ -= job.bytes();
}

// Round by round, as they will be taken.
void JobQueue::tell_positions() {
  size_t position = 0;
  for (size_t round = 0; position < count_; ++round) {
    for (const std::string& client : turns_) {
      const auto& jobs = waiting_[client];
      if (round < jobs.size()) jobs[round]->set_position(position++);
    }
  }
}

}  // namespace icedit::server
