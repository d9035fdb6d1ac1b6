#pragma once
// A model with adapters merged into its transformer, written as a diffusers folder.
#include <optional>
#include <vector>

#include "edit/model_files.h"
#include "edit/residency.h"

namespace icedit::cli {

struct MergeRequest {
  std::vector<AdapterRequest> adapters;  // in this order, each with its scale
  bool allow_partial = false;
  std::optional<at::ScalarType> dtype;  // of every floating tensor; unset: as stored
  uint64_t shard_bytes = 5'000'000'000;
  bool force = false;  // replaces a model folder that is there
};

// weight + sum of scale * delta, added in f32 and rounded once. The folder comes to be under
// another name beside `output` and is renamed when it is whole. Needs the memory of one shard.
// Throws UsageError (nothing to merge, a mixture, fp8 without a dtype, something there),
// CheckpointError, IoError.
void merge_base(const ModelFiles& files, const MergeRequest& request, const Path& output);

}  // namespace icedit::cli
