#pragma once
// What tests of stored matrices are made of.
#include <ATen/ATen.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/tensor.h"

namespace icedit {

using Named = std::vector<std::pair<std::string, Tensor>>;

inline Tensor bytes_tensor(const std::string& text) {
  const Tensor made = at::empty({int64_t(text.size())}, at::kByte);
  std::memcpy(made.mutable_data_ptr<uint8_t>(), text.data(), text.size());
  return made;
}

inline double relative(const Tensor& got, const Tensor& wanted) {
  return (got - wanted).norm().item<double>() / wanted.norm().item<double>();
}

}  // namespace icedit
