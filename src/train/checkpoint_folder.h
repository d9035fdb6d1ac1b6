#pragma once
// The step-N folders of a run, whatever is in them: how one comes to be, is found again and is
// checked.
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "io/files.h"

namespace icedit {

// run_folder/step-N comes to be as a whole or not at all: `write` fills a folder beside it, which
// gets its manifest, is synced and renamed (an older step-N is exchanged for it in one operation).
// Then `latest` is moved. Left-overs of writers that are no more are removed. Throws IoError, and
// what `write` throws.
Path write_step_folder(const Path& run_folder, int64_t step, uint64_t bytes_needed,
                       const std::function<void(const Path&)>& write);

// Which step-N folders are whole; each is read once.
class WholeSteps {
 public:
  void add(const Path& step_folder) { whole_[step_folder] = true; }  // it was just written
  bool has(const Path& step_folder);

 private:
  std::map<Path, bool> whole_;
};

// Removes what stands before the last `keep` whole ones of the steps up to `step`.
void remove_old_steps(const Path& run_folder, int64_t step, int keep, WholeSteps& whole);

// N of a folder with the name step-N; -1 for any other.
int64_t step_number(const Path& folder);

// The run that `place` belongs to: a run's folder, its `latest` or a step-N folder in it.
Path run_folder_of(const Path& place);

// What to try for `place` (a run's folder, its `latest` or a step-N folder), in this order: that
// one, those before it from the last on, and for a run's folder those after `latest`.
std::vector<Path> step_folders(const Path& place);

// "" where the folder is whole, or else what is wrong with it.
std::string damage_of(const Path& step_folder);

}  // namespace icedit
