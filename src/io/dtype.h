#pragma once
// Element types of the files we read, named as safetensors names them. No libtorch here.
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace icedit {

enum class Dtype { kBool, kU8, kI8, kI16, kI32, kI64, kF16, kBF16, kF32, kF64, kF8E4M3, kF8E5M2 };

size_t dtype_size(Dtype dtype);            // bytes of one element
std::string_view dtype_name(Dtype dtype);  // "F32", "BF16", "F8_E4M3", ...
std::optional<Dtype> dtype_from_name(std::string_view name);

}  // namespace icedit
