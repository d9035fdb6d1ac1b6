#pragma once
// Normal values in a file's own dtype, as fast as a disk takes them.
#include <cstdint>
#include <string_view>
#include <vector>

#include "io/dtype.h"
#include "io/safetensors.h"

namespace icedit::tools {

class RandomValues {
 public:
  // Throws UsageError for another dtype than BF16, F16, F32.
  RandomValues(Dtype dtype, uint64_t seed);

  // `count` values, the same for the same seed and name whatever else was written.
  void put(std::string_view name, uint64_t count, double mean, double deviation,
           const PutBytes& put) const;

 private:
  Dtype dtype_;
  uint64_t seed_;
  std::vector<double> quantiles_;  // of the standard normal distribution, 2^16 of equal weight
};

}  // namespace icedit::tools
