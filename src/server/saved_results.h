#pragma once
// A folder that keeps every result as result_N, as the published demo does, up to so many bytes.
#include <map>
#include <string>

#include "server/job.h"

namespace icedit::server {

class SavedResults {
 public:
  // Makes the folder. Throws IoError where it cannot be written to.
  SavedResults(const std::string& folder, uint64_t most_bytes);

  // Writes the job's pictures, each with its recipe; what goes wrong is a warning, since the client
  // has its pictures. Beyond the limit the oldest results go.
  void add(const std::vector<std::shared_ptr<const JobResult>>& results);

 private:
  struct Saved {
    Path file;
    uint64_t bytes = 0;
  };
  void keep(uint64_t number, const Path& file);
  void make_room(uint64_t bytes);

  const Path folder_;
  const uint64_t most_bytes_;
  std::map<uint64_t, Saved> saved_;  // by their numbers, those of earlier runs too
  uint64_t bytes_ = 0;               // of all of them
};

}  // namespace icedit::server
