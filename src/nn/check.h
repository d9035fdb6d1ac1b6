#pragma once
#include <string>

#include "base/tensor.h"

namespace icedit {

// Throws UsageError "txt: expected [2, *, 4096], got [2, 512, 768]"; -1 stands for any size.
void check_shape(const std::string& name, const Tensor& tensor, const Shape& expected);

}  // namespace icedit
