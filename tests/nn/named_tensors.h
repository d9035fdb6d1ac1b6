#pragma once
// What tests of stored matrices are made of.
#include <ATen/ATen.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/tensor.h"
#include "nn/comfy_quant.h"
#include "nn/int4_matrix.h"

namespace icedit {

using Named = std::vector<std::pair<std::string, Tensor>>;

inline Tensor bytes_tensor(const std::string& text) {
  const Tensor made = at::empty({int64_t(text.size())}, at::kByte);
  std::memcpy(made.mutable_data_ptr<uint8_t>(), text.data(), text.size());
  return made;
}

// A layer as ComfyUI stores it, rotated in groups of 256.
inline Named layer_in_4_bits(const Tensor& weight) {
  const Int4Values v = quantised_rows_in_4_bits(weight, 256);
  return {{"layer.weight", v.codes.view(at::kChar)},
          {"layer.weight_s_rel", v.run_scales},
          {"layer.weight_s_channel", v.scales},
          {"layer.weight_codebook", v.levels},
          {"layer.comfy_quant", bytes_tensor(comfy_quant_text({std::string(kInt4Format), 256}))}};
}

inline double relative(const Tensor& got, const Tensor& wanted) {
  return (got - wanted).norm().item<double>() / wanted.norm().item<double>();
}

}  // namespace icedit
