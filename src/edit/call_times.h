#pragma once
// Where the time of one call of the network goes on this machine, and how near each part is to what
// the machine does at its best: `icedit bench`.
#include <array>
#include <cstdint>

#include "edit/memory_estimate.h"
#include "nn/stopwatch.h"

namespace icedit {

struct CallTimes {
  int64_t calls = 0;
  double seconds = 0;                                   // of the fastest call
  std::array<Stopwatch::Figures, kKindsOfWork> work{};  // of that call, by Work
  double modulations = 0;                               // seconds, of one time; not in a call
  uint64_t weights = 0;                                 // bytes of the blocks that a call reads
  uint64_t peak = 0;                                    // bytes of the process, the most until then
};

// Loads the transformer and calls it, once to warm up and then three times or more, on random
// inputs of that size. Throws as expect_measurable (edit/time_estimate.h), and what `stop` throws.
CallTimes measure_calls(Residency& residency, const EditSize& size, StopCheck stop = {});

// Floating-point operations a second.
struct Ceilings {
  double product = 0;  // of the block's widest matrix as it is stored, its input made before
  double dense = 0;    // of a square matrix in the compute dtype
};
Ceilings measure_ceilings(const Residency& residency, const EditSize& size);

}  // namespace icedit
