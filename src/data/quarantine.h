#pragma once
// Rows that cannot be read: listed, skipped, never deleted.
#include <string>
#include <vector>

#include "io/files.h"

namespace icedit {

class Quarantine {
 public:
  // `file`: a line of {"row", "reason"} for each, appended as they are found; what a run before
  // this one has written counts. Empty: in memory only. Throws IoError.
  Quarantine(Path file, int64_t max_bad_rows);

  // Once for every row, with a warning. Throws DataError when there are more than max_bad_rows: the
  // first few and the file.
  void add(const std::string& where, const std::string& reason);
  const std::vector<std::string>& rows() const { return rows_; }

 private:
  Path file_;
  int64_t max_bad_rows_;
  std::vector<std::string> rows_;
  bool cut_off_ = false;  // the file ends within a line
};

}  // namespace icedit
