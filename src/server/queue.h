#pragma once
// Jobs that wait: so many and no more, and fair: clients take turns, whatever each has in line.
#include <chrono>
#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "server/job.h"

namespace icedit::server {

class JobQueue {
 public:
  // One client may fill three quarters of it, so that another finds a place.
  explicit JobQueue(size_t most) : most_(most) {}

  bool push(const std::shared_ptr<Job>& job);  // false: there is no place
  // The next one; nullptr where none comes in this time.
  std::shared_ptr<Job> pop(std::chrono::milliseconds most);
  bool remove(const Job& job);  // false: it does not wait here
  size_t size() const;

 private:
  void tell_positions();  // with the lock held

  const size_t most_;
  mutable std::mutex mutex_;
  std::condition_variable there_;
  size_t count_ = 0;
  std::map<std::string, std::deque<std::shared_ptr<Job>>> waiting_;  // by client
  std::list<std::string> turns_;  // clients with jobs, the next one first
};

}  // namespace icedit::server
