#pragma once
// What writers of tensor files share; private to this folder.
#include <string>
#include <vector>

#include "io/safetensors.h"

namespace icedit {

// Writes atomically: the header, then the tensors, each begun at a multiple of `alignment` counted
// from the header's end, which is one. write(i, put): as of write_safetensors. Throws IoError.
void write_tensors(const Path& path, const std::string& header,
                   const std::vector<TensorPlan>& tensors, uint64_t alignment,
                   const std::function<void(size_t, const PutBytes&)>& write);

// Throws IoError: a tensor of `got` bytes has another size than planned, or its name is taken.
[[noreturn]] void refuse_tensor(const Path& path, const TensorPlan& tensor, uint64_t got);

// `bytes` and what is missing to a multiple of `alignment`.
uint64_t aligned(uint64_t bytes, uint64_t alignment);

}  // namespace icedit
