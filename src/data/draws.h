#pragma once
// Randomness as a function of where in the run it is used, so that a run can stop, go on, and
// change its number of ranks and threads anywhere.
#include <cstddef>
#include <cstdint>

namespace icedit {

// What each stream of draws is for: no two of them share numbers.
enum class DrawPurpose : uint64_t {
  kOrder = 1,
  kPrompt = 2,
  kReplacement = 3,
  kNoise = 4  // and all else that the objective draws
};

struct DrawKey {
  uint64_t seed = 0;
  int64_t epoch = 0;
  int64_t index = 0;  // of the micro-batch in the epoch, over all ranks
  int64_t slot = 0;   // of the sample in the micro-batch
};

// A stream of its own for every (purpose, key). SplitMix64 (Steele, Lea and Flood, 2014) from a
// hash of them.
class DrawStream {
 public:
  DrawStream(DrawPurpose purpose, const DrawKey& key);

  uint64_t next();
  double random();          // [0, 1), 53 bits
  size_t choice(size_t n);  // 0 ... n - 1, without bias; n > 0

 private:
  uint64_t state_;
};

// The seed of a torch generator for the tensors drawn at that place.
uint64_t generator_seed(DrawPurpose purpose, const DrawKey& key);

}  // namespace icedit
