#pragma once
// A component's tensors as diffusers and transformers lay them out: one .safetensors file, or
// shards and an index.
#include <functional>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "io/files.h"

namespace icedit::cli {

struct PlannedTensor {
  std::string name;
  uint64_t bytes;                // of what `make` returns
  std::function<Tensor()> make;  // called once, when its shard is written
};

// `stem`: "diffusion_pytorch_model" or "model". `written`: after every tensor. Throws IoError.
void write_component(const Path& folder, const std::string& stem,
                     const std::vector<PlannedTensor>& tensors, uint64_t shard_bytes,
                     const std::function<void()>& written);

}  // namespace icedit::cli
