#pragma once
// A checkpoint in a few lines: equal blocks are counted, not repeated.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/checkpoint.h"

namespace icedit::cli {

struct TensorLine {
  std::string name;  // below its block
  std::vector<int64_t> shape;
  std::string dtype;
  bool operator==(const TensorLine&) const = default;
};

// Numbered neighbours that hold the same tensors: transformer_blocks.0 to .18. Not numbered: first
// == -1.
struct BlockGroup {
  std::string name;  // "transformer_blocks"
  int64_t first = -1, last = -1;
  int64_t parameters = 0;  // of one
  std::vector<TensorLine> tensors;
  int64_t count() const { return last - first + 1; }
};

struct CheckpointSummary {
  std::string where, what;  // what: "FLUX transformer, full size, Fill (384 input channels)", ...
  int64_t parameters = 0, tensors = 0;
  uint64_t bytes = 0;
  size_t files = 0;
  std::map<std::string, int64_t> dtypes;  // parameters of each
  std::vector<BlockGroup> groups;         // in the order of their names, numbers as numbers
};

CheckpointSummary summarise(const Checkpoint& checkpoint);

// "12.3 M", "11.9 B".
std::string count_text(int64_t count);

}  // namespace icedit::cli
