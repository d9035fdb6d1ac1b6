// Between safetensors files and tensors.
#include <ATen/ATen.h>

#include "base/error.h"
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
  const auto mapping = entry.file->mapping();
  const TensorInfo& info = entry.info;
  auto* data = const_cast<std::byte*>(mapping->bytes().data() + info.begin);
  const auto options = at::TensorOptions().dtype(scalar_type(info.dtype));
  if (info.numel() == 0) return at::empty(info.shape, options);
  Tensor tensor;
  if (reinterpret_cast<uintptr_t>(data) % dtype_size(info.dtype) != 0) {
    tensor = at::empty(info.shape, options);
    std::memcpy(tensor.data_ptr(), data, info.end - info.begin);
  } else {
    tensor = at::from_blob(
        data, info.shape, [mapping](void*) {}, options);
  }
  if (!entry.swap_halves) return tensor;
  const auto halves = tensor.chunk(2, 0);
  return at::cat({halves[1], halves[0]}, 0);
}

std::vector<std::pair<std::string, Tensor>> load_tensors(const Path& path) {
  const auto file = std::make_shared<const SafetensorsFile>(path);
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const auto& [name, info] : file->tensors()) {
    tensors.emplace_back(name, mapped_tensor({file, name, info}));
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
    entry.file->mapping()->release(entry.info.begin, entry.info.end - entry.info.begin);
  }
  return "";
}

}  // namespace icedit
