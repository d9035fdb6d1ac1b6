#pragma once
// What is wrong with a data set, found in one pass over its rows.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"

namespace icedit {

// How many rows have it; the first kListed of them are kept.
struct Findings {
  static constexpr size_t kListed = 1000;
  int64_t count = 0;
  std::vector<BadRow> rows;

  void add(const std::string& where, const std::string& reason);
};

struct DataReport {
  int64_t rows = 0;
  uint64_t picture_bytes = 0;  // as they lie in the files
  Findings unreadable;
  Findings identical;   // source and target have the same pixels
  Findings misaligned;  // source and target are of different size
  Findings duplicates;  // pictures (by SHA-256) and instructions of a row before
  Findings empty;       // an instruction without a letter
  std::map<std::pair<int, int>, int64_t> sizes;        // of the sources: width, height
  std::vector<std::pair<std::string, int64_t>> tasks;  // in the order of their first appearance
};

// Reads and decodes every row on `threads` threads, with progress on stderr. Of each row 24 bytes
// stay in memory. Throws Interrupted.
DataReport check_dataset(const EditDataset& dataset, int threads);

// `shown`: rows named of each finding.
std::string report_text(const DataReport& report, size_t shown = 5);
std::string report_json(const DataReport& report);

}  // namespace icedit
