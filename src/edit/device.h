#pragma once
// Which device computes. libtorch's CUDA half is opened only where a driver answers, so that one
// program runs everywhere.
#include <string>

#include "base/tensor.h"

namespace icedit {

// Opens libtorch_cuda.so when the machine has a driver and the library is installed; must come
// before anything asks libtorch for CUDA. Returns why there is none, "" when there is. Unmeasured:
// no test has run on a GPU.
std::string attach_cuda();

// "auto" (CUDA where there is a device, else the CPU), "cpu", "cuda" or "cuda:N". Attaches CUDA
// where it may be wanted. Throws UsageError for another text, ModelUnavailable where CUDA was asked
// for and is not there (with the reason and the remedy).
at::Device choose_device(const std::string& text);

}  // namespace icedit
