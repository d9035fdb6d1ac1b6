#include "nn/checked_tensors.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "nn/weights.h"

namespace icedit {
namespace {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

constexpr const char* kSum = "sha256";  // in the file's metadata

std::string sum_of(NamedTensors tensors) {
  std::sort(tensors.begin(), tensors.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string all;
  for (const auto& [name, tensor] : tensors)
    all += str(name, " ", at::toString(tensor.scalar_type()), " ", content_digest(tensor), "\n");
  return sha256(all);
}

}  // namespace

std::string content_digest(const Tensor& tensor) {
  const Tensor whole = tensor.contiguous();
  return str(whole.sizes().vec(), " ",
             sha256({static_cast<const char*>(whole.const_data_ptr()), whole.nbytes()}));
}

void save_checked(const Path& path, const NamedTensors& tensors) {
  save_tensors(path, tensors, {{kSum, sum_of(tensors)}});
}

NamedTensors load_checked(const Path& path) {
  const SafetensorsFile header(path);
  const auto sum = header.metadata().find(kSum);
  if (sum == header.metadata().end())
    throw CheckpointError(path.string() + " has no check sum in its header");
  NamedTensors tensors = load_tensors(path);
  if (sum_of(tensors) != sum->second)
    throw CheckpointError(path.string() + " is not what its check sum says");
  for (auto& [name, tensor] : tensors) tensor = tensor.clone();
  return tensors;
}

}  // namespace icedit
