#pragma once
// What came of each row, and the folder where it is kept so that a stopped run can go on:
//   run.json       model, adapters, settings and data: what the results hang on
//   results.jsonl  a line a row, as they come
//   pictures/      ROW.png, the edits
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "edit/recipe.h"
#include "eval/metrics.h"
#include "io/process_lock.h"

namespace icedit {

struct RowResult {
  int64_t row = 0;  // in the data, from 0
  std::string task, instruction;
  uint64_t seed = 0;
  PairMetrics metrics;
  Judgement judgement;
  std::optional<SpeedFigures> speed;  // where fewer calls were asked for
  std::string error;                  // why it cannot be read; the figures are then none
};

class ResultFolder {
 public:
  // `settings`: resolved, with the seed of row 0. Makes the folder, or goes on with what is in it,
  // and holds it. Throws UsageError listing what is not as it was when the folder was begun, or
  // that another process is at it, DataError (a damaged line within results.jsonl), IoError.
  ResultFolder(Path folder, const RunRecord& run, const EditSettings& settings,
               const std::vector<Path>& data);

  // Rows whose figures and picture are there. Those that could not be read are tried again.
  const std::map<int64_t, RowResult>& done() const { return done_; }
  // `picture`: the edit; nullptr where the row cannot be read. Throws IoError.
  void add(const RowResult& result, const Image* picture);
  Path picture(int64_t row) const;
  const Path& path() const { return folder_; }

 private:
  void read_results();

  Path folder_;
  std::optional<ProcessLock> lock_;
  std::map<int64_t, RowResult> done_;
};

std::string to_json(const RowResult& result);                                   // one line
RowResult result_from_json(const std::string& line, const std::string& where);  // throws DataError

}  // namespace icedit
