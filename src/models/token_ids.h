#pragma once
#include "base/tensor.h"

namespace icedit {

// `input_ids` as int64 on the CPU. Throws UsageError unless it is [N, L] of integers in [0,
// vocabulary), with N and L at least 1 and L at most `longest` (0: any).
Tensor checked_ids(const Tensor& input_ids, int64_t vocabulary, int64_t longest = 0);

}  // namespace icedit
