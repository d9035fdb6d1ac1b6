#pragma once
// An accelerator that is none, so that what a GPU would do with this program's tensors is seen
// without one: libtorch's PrivateUse1 device, linked into this folder's tests. Its memory is no
// host memory (pretend_memory.h), and one boxed fallback stands for all of its kernels: it refuses
// operands of different devices where CUDA would, then runs the CPU's kernel on the same bytes.
// Results that alias an operand do so on the device too. What is not pretended: streams (a copy
// that is asked not to block is refused) and a GPU's kernels, with their own rounding.
#include "device/pretend_memory.h"

namespace icedit::pretend {

at::Device device();

}  // namespace icedit::pretend
