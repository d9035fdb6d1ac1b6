#pragma once
// Blocks whose matrices are in memory only while they are computed. Beside the one that is computed
// the next one's bytes are read from the file by a thread, so that a disk works meanwhile; what is
// made of them (packed, quantised, copied to a device) is made by the caller, on all its threads.
#include <functional>
#include <future>
#include <string>
#include <vector>

#include "nn/block.h"
#include "nn/linear.h"

namespace icedit {

// The Linears of one BlockCall, by its path.
struct BlockUnit {
  std::string path;
  std::vector<Linear> linears;
};

// One forward at a time.
class BlockStream {
 public:
  // `units` in the order of their calls. `again`: after the last one comes the first.
  BlockStream(std::vector<BlockUnit> units, bool again);

  // Calls `around`, or the block itself where there is none.
  Tensors operator()(const BlockCall& call, const AroundBlock& around);

 private:
  void read_ahead(size_t unit);

  std::vector<BlockUnit> units_;
  bool again_;
  std::future<void> reading_;  // the next unit; waits for its end when it is destroyed
};

// The Linears under the paths that `unit_of` gives for them, in the order of the list; "" is left
// out.
std::vector<BlockUnit> block_units(LinearList& linears,
                                   const std::function<std::string(const std::string&)>& unit_of);

}  // namespace icedit
