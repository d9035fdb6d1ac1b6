#include "train/loading.h"

#include "data/buckets.h"

namespace icedit {

LoaderOptions loader_options(const TrainConfig& config, const EditDataset& dataset) {
  LoaderOptions options;
  options.batch_size = config.batch_size;
  options.workers = int(config.dataloader_workers);
  options.seed = uint64_t(config.seed);
  options.draws = config.draws;
  if (config.dataset.resize == ResizeMode::kBucket) {
    options.bucket_sizes = bucket_sizes(config.dataset.condition_size);
    options.buckets = assign_buckets(dataset, options.bucket_sizes);
  }
  return options;
}

int64_t text_tokens(const TrainConfig& config, const ModelFiles& model) {
  return config.max_sequence_length > 0 ? config.max_sequence_length
                                        : model.defaults().max_sequence_length;
}

}  // namespace icedit
