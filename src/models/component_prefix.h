#pragma once
// Files of several components (ComfyUI's all-in-one checkpoints) and of one under somebody's
// prefix.
#include <string>
#include <vector>

#include "io/checkpoint.h"

namespace icedit {

struct ComponentMarks {
  std::string what;                   // "FLUX transformer", for errors
  std::vector<std::string> prefixes;  // tried in this order; "" for none
  std::vector<std::string> tensors;   // one of these must be below the prefix
};

// The tensors below the first of the prefixes under which one of the marks is, without that prefix;
// the file's other tensors are other components' and left out, as are the marks of fp8. Throws
// CheckpointError saying what the file looks like instead.
Checkpoint component_of(const Checkpoint& file, const ComponentMarks& marks);

}  // namespace icedit
