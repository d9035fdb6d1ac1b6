// Between safetensors files and tensors.
#include <ATen/ATen.h>

#include "base/error.h"
#include "nn/ggml.h"
#include "nn/weights.h"

namespace icedit {
namespace {

constexpr std::pair<Dtype, at::ScalarType> kTypes[] = {{Dtype::kBool, at::kBool},
                                                       {Dtype::kU8, at::kByte},
                                                       {Dtype::kI8, at::kChar},
                                                       {Dtype::kI16, at::kShort},
                                                       {Dtype::kI32, at::kInt},
                                                       {Dtype::kI64, at::kLong},
                                                       {Dtype::kF16, at::kHalf},
                                                       {Dtype::kBF16, at::kBFloat16},
                                                       {Dtype::kF32, at::kFloat},
                                                       {Dtype::kF64, at::kDouble},
                                                       {Dtype::kF8E4M3, at::kFloat8_e4m3fn},
                                                       {Dtype::kF8E5M2, at::kFloat8_e5m2}};

bool finite(const Tensor& tensor) {
  if (!tensor.is_floating_point()) return true;
  const bool small = tensor.element_size() < 2;
  return at::isfinite(small ? tensor.to(at::kFloat) : tensor).all().item<bool>();
}

}  // namespace

at::ScalarType scalar_type(Dtype dtype) {
  for (const auto& [ours, theirs] : kTypes) {
    if (ours == dtype) return theirs;
  }
  if (dtype_block(dtype) > 1) return at::kFloat;
  throw CheckpointError(str("dtype ", dtype_name(dtype), " is not supported"));
}

Dtype dtype_of(at::ScalarType type) {
  for (const auto& [ours, theirs] : kTypes) {
    if (theirs == type) return ours;
  }
  throw UsageError(
      str("a tensor of type ", at::toString(type), " cannot be stored as safetensors"));
}

Tensor mapped_tensor(const Checkpoint::Entry& entry) {
  const TensorInfo& info = entry.info;
  if (dtype_block(info.dtype) > 1) return dequantised(entry);
  const auto options = at::TensorOptions().dtype(scalar_type(info.dtype));
  const Bytes bytes = entry.bytes();
  if (bytes.empty()) return at::empty(info.shape, options);
  auto* data = const_cast<std::byte*>(bytes.data());
  const bool aligned = reinterpret_cast<uintptr_t>(data) % dtype_size(info.dtype) == 0;
  if (aligned && !entry.swap_halves) {
    return at::from_blob(
        data, info.shape, [file = entry.file](void*) {}, options);
  }
  const Tensor copy = at::empty(info.shape, options);
  const size_t first = entry.swap_halves ? bytes.size() / 2 : bytes.size();
  auto* to = static_cast<std::byte*>(copy.data_ptr());
  std::memcpy(to + (bytes.size() - first), data, first);
  std::memcpy(to, data + first, bytes.size() - first);
  return copy;
}

std::vector<std::pair<std::string, Tensor>> load_tensors(const Path& path) {
  const auto file = std::make_shared<const SafetensorsFile>(path);
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const auto& [name, info] : file->tensors()) {
    tensors.emplace_back(name, mapped_tensor({file->mapping(), name, info}));
  }
  return tensors;
}

void save_tensors(const Path& path, const std::vector<std::pair<std::string, Tensor>>& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<Tensor> kept;
  std::vector<TensorBytes> bytes;
  for (const auto& [name, tensor] : tensors) {
    kept.push_back(tensor.detach().to(at::kCPU).contiguous());
    const Tensor& t = kept.back();
    bytes.push_back({name, dtype_of(t.scalar_type()), t.sizes().vec(),
                     Bytes(static_cast<const std::byte*>(t.const_data_ptr()), t.nbytes())});
  }
  write_safetensors(path, bytes, metadata);
}

std::string first_not_finite(const Checkpoint& checkpoint) {
  for (const auto& [name, entry] : checkpoint.entries()) {
    const Tensor tensor = mapped_tensor(entry);
    if (!finite(tensor)) return name;
    entry.release();
  }
  return "";
}

}  // namespace icedit
