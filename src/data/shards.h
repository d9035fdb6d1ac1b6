#pragma once
// Whether a downloaded data set is whole: Hugging Face names its files
// SPLIT-NNNNN-of-MMMMM.parquet.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/rows.h"

namespace icedit {

// The files of one split.
struct Shards {
  std::string split;  // "train"
  int64_t of = 0;     // how many it has
  std::map<int64_t, Path> there;
  std::vector<int64_t> missing() const;
};

struct FoundFiles {
  std::vector<Shards> shards;
  std::vector<Path> others;     // without such a name
  std::vector<BadRow> damaged;  // file and why; they are not in `shards`
  int64_t rows = 0;
  uint64_t bytes = 0;
};

// Opens every file's footer: one that was cut off has none.
FoundFiles look_at(const std::vector<Path>& files);

// {0, 1, 2, 5} -> "0-2, 5".
std::string ranges_text(const std::vector<int64_t>& numbers);

}  // namespace icedit
