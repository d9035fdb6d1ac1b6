#pragma once
// Jobs by their ids: those that wait and run, and those that are over, for a limited time and a
// limited number of bytes.
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "server/job.h"

namespace icedit::server {

class JobStore {
 public:
  JobStore(std::chrono::seconds keep, uint64_t bytes) : keep_(keep), bytes_(bytes) {}

  void add(std::shared_ptr<Job> job);
  std::shared_ptr<Job> find(const std::string& id) const;  // nullptr: none, or no more
  // A client's that wait or run.
  std::vector<std::shared_ptr<Job>> under_way(const std::string& client) const;
  void forget(const Job& job);
  // Lets go of what was kept long enough, and of the oldest where all are too much.
  void sweep();
  uint64_t bytes() const;

 private:
  const std::chrono::seconds keep_;
  const uint64_t bytes_;
  mutable std::mutex mutex_;
  std::list<std::shared_ptr<Job>> jobs_;  // the oldest first
};

}  // namespace icedit::server
