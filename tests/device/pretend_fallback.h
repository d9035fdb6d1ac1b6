#pragma once
#include <ATen/core/stack.h>
#include <c10/core/Storage.h>

#include <utility>
#include <vector>

#include "device/pretend_device.h"

namespace icedit::pretend {

// CPU tensors of the same bytes as the device's, while one kernel runs.
class Aliases {
 public:
  Tensor of(const Tensor& t);  // itself where it is not the device's
  void grow();                 // after the kernel: those that it has resized
  // What a kernel made of aliases, as the device has it: the operand itself, a view of one, or
  // memory of its own.
  Tensor back(const Tensor& made);

 private:
  c10::Storage alias_of(const c10::Storage& ours);

  std::vector<std::pair<Tensor, Tensor>> pairs_;
  std::vector<std::pair<c10::Storage, c10::Storage>> storages_;
};

// The kernel of whatever has none of its own.
void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack);

}  // namespace icedit::pretend
