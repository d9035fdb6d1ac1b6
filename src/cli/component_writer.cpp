#include "cli/component_writer.h"

#include <ATen/ATen.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "nn/weights.h"

namespace icedit::cli {
namespace {

// Where each shard begins, then the end. A tensor larger than a shard has one of its own.
std::vector<size_t> shards_of(const std::vector<PlannedTensor>& tensors, uint64_t shard_bytes) {
  std::vector<size_t> begins = {0};
  uint64_t bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (bytes > 0 && bytes + tensors[i].bytes > shard_bytes) {
      begins.push_back(i);
      bytes = 0;
    }
    bytes += tensors[i].bytes;
  }
  begins.push_back(tensors.size());
  return begins;
}

std::string shard_name(const std::string& stem, size_t shard, size_t shards) {
  if (shards == 1) return stem + ".safetensors";
  char numbers[64];
  std::snprintf(numbers, sizeof numbers, "-%05zu-of-%05zu.safetensors", shard + 1, shards);
  return stem + numbers;
}

}  // namespace

void write_component(const Path& folder, const std::string& stem,
                     const std::vector<PlannedTensor>& tensors, uint64_t shard_bytes,
                     const std::function<void()>& written) {
  const std::vector<size_t> begins = shards_of(tensors, shard_bytes);
  const size_t shards = begins.size() - 1;
  nlohmann::json map = nlohmann::json::object();
  uint64_t total = 0;
  for (size_t shard = 0; shard < shards; ++shard) {
    std::vector<std::pair<std::string, Tensor>> made;
    const std::string name = shard_name(stem, shard, shards);
    for (size_t i = begins[shard]; i < begins[shard + 1]; ++i) {
      made.emplace_back(tensors[i].name, tensors[i].make());
      map[tensors[i].name] = name;
      total += tensors[i].bytes;
      written();
    }
    save_tensors(folder / name, made, {{"format", "pt"}});
  }
  if (shards == 1) return;
  const nlohmann::json index = {{"metadata", {{"total_size", total}}}, {"weight_map", map}};
  write_text_atomically(folder / (stem + ".safetensors.index.json"), index.dump(2) + "\n");
}

}  // namespace icedit::cli
