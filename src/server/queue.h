#pragma once
// Jobs that wait: so many and no more, and fair: clients take turns, whatever each has in line.
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "server/job.h"

namespace icedit::server {

class JobQueue {
 public:
  // One client may fill three quarters of it, so that another finds a place. `most_bytes`: of all
  // the pictures that wait.
  explicit JobQueue(size_t most, uint64_t most_bytes = uint64_t{1} << 30)
      : most_(most), most_bytes_(most_bytes) {}

  bool push(const std::shared_ptr<Job>& job);  // false: there is no place
  // The next one; nullptr where none comes in this time.
  std::shared_ptr<Job> pop(std::chrono::milliseconds most);
  // Further ones that fit, at most so many, in the order of turns: of each client as far as they
  // fit from its first on.
  std::vector<std::shared_ptr<Job>> pop_fitting(size_t most,
                                                const std::function<bool(const Job&)>& fits);
  bool remove(const Job& job);  // false: it does not wait here
  size_t size() const;

 private:
  // With the lock held:
  void tell_positions();
  void taken(const Job& job);
  std::shared_ptr<Job> take_first();

  const size_t most_;
  const uint64_t most_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable there_;
  size_t count_ = 0;
  uint64_t bytes_ = 0;
  std::map<std::string, std::deque<std::shared_ptr<Job>>> waiting_;  // by client
  std::list<std::string> turns_;  // clients with jobs, the next one first
};

}  // namespace icedit::server
