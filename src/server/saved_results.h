#pragma once
// A folder that keeps every result as result_N, as the published demo does, up to so many bytes.
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
  void make_room(uint64_t bytes);

  const Path folder_;
  const uint64_t most_bytes_;
  uint64_t next_ = 1;
};

}  // namespace icedit::server
