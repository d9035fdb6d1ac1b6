#include "data/quarantine.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "io/json.h"

namespace icedit {

Quarantine::Quarantine(Path file, int64_t max_bad_rows)
    : file_(std::move(file)), max_bad_rows_(max_bad_rows) {
  std::ifstream in(file_);
  for (std::string line; !file_.empty() && std::getline(in, line);) {
    cut_off_ = in.eof();
    const Json entry = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!entry.is_object() || !entry.contains("row") || !entry["row"].is_string())
      continue;  // cut off
    const auto row = entry["row"].get<std::string>();
    if (std::find(rows_.begin(), rows_.end(), row) == rows_.end()) rows_.push_back(row);
  }
}

void Quarantine::add(const std::string& where, const std::string& reason) {
  if (std::find(rows_.begin(), rows_.end(), where) != rows_.end()) return;
  rows_.push_back(where);
  log::warn(str("a row cannot be read and is passed over: ", reason));
  if (!file_.empty()) {
    std::error_code ignored;
    std::filesystem::create_directories(file_.parent_path(), ignored);
    std::ofstream out(file_, std::ios::app);
    if (std::exchange(cut_off_, false)) out << '\n';
    out << dumped({{"row", where}, {"reason", reason}}) << '\n';
    if (!out.flush())
      throw IoError(str(file_.string(), ": the list of bad rows cannot be written"));
  }
  if (int64_t(rows_.size()) <= max_bad_rows_) return;
  std::string first;
  for (size_t i = 0; i < std::min<size_t>(rows_.size(), 5); ++i)
    first += (i ? "; " : "") + rows_[i];
  throw DataError(str(rows_.size(), " rows cannot be read, train.max_bad_rows allows ",
                      max_bad_rows_, ": ", first, rows_.size() > 5 ? "; ..." : "",
                      file_.empty() ? "" : str("; the list is in ", file_.string())));
}

}  // namespace icedit
