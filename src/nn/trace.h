#pragma once
// Named intermediate tensors of a forward, for `icedit stage` and the golden tests. Costs a branch
// when it is off.
#include <string>
#include <utility>
#include <vector>

#include "base/tensor.h"

namespace icedit {

class Trace {
 public:
  void keep(const std::string& name, const Tensor& value) { tensors_.emplace_back(name, value); }
  const std::vector<std::pair<std::string, Tensor>>& tensors() const { return tensors_; }

 private:
  std::vector<std::pair<std::string, Tensor>> tensors_;
};

inline void keep(Trace* trace, const std::string& name, const Tensor& value) {
  if (trace != nullptr) trace->keep(name, value);
}

}  // namespace icedit
