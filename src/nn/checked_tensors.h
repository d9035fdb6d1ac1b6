#pragma once
// Tensors in a file that says what they must be: what caches keep.
#include <string>
#include <utility>
#include <vector>

#include "base/tensor.h"
#include "io/files.h"

namespace icedit {

// A tensor's shape and the SHA-256 of its values. On the CPU.
std::string content_digest(const Tensor& tensor);

// A safetensors file with a check sum of names, dtypes, shapes and values. Throws IoError.
void save_checked(const Path& path, const std::vector<std::pair<std::string, Tensor>>& tensors);
// Copies of them: nothing stays mapped. Throws CheckpointError, IoError: it is damaged, or gone.
std::vector<std::pair<std::string, Tensor>> load_checked(const Path& path);

}  // namespace icedit
