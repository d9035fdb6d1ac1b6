#pragma once
// How the elements of a tensor are stored in the files we read, named as safetensors and GGUF name
// them. No libtorch here.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace icedit {

enum class Dtype {
  kBool,
  kU8,
  kI8,
  kI16,
  kI32,
  kI64,
  kF16,
  kBF16,
  kF32,
  kF64,
  kF8E4M3,
  kF8E5M2,
  kQ8_0,  // from here on GGML's blocks (nn/ggml.h)
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K
};

// Elements of a row that are stored as one, with what they share (a scale): 1 for most types.
int64_t dtype_block(Dtype dtype);
size_t dtype_size(Dtype dtype);            // bytes of a block: of one element for most types
std::string_view dtype_name(Dtype dtype);  // "F32", "BF16", "F8_E4M3", ...
std::optional<Dtype> dtype_from_name(std::string_view name);  // of a type that safetensors has

}  // namespace icedit
