#pragma once
// From a configuration to what the loader is told.
#include "data/loader.h"
#include "edit/model_files.h"
#include "train/config.h"

namespace icedit {

// Of a run on one rank, from its start. With resize: bucket all pictures are measured first
// (assign_buckets). Throws UsageError.
LoaderOptions loader_options(const TrainConfig& config, const EditDataset& dataset);

// T5 tokens of a prompt: the configuration's, or else the model's own.
int64_t text_tokens(const TrainConfig& config, const ModelFiles& model);

}  // namespace icedit
