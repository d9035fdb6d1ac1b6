#pragma once
// Which rows make up which micro-batch: a function of (seed, epoch, index) alone.
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "data/draws.h"

namespace icedit {

enum class DrawMode {
  kKeyed,     // every draw is a function of its place in the run
  kReference  // the streams that the published Python would use: torch's for the order, Python's
              // random for prompts
};

struct OrderOptions {
  int64_t rows = 0;
  int64_t batch_size = 1;
  uint64_t seed = 0;
  bool shuffle = true;
  DrawMode draws = DrawMode::kKeyed;
  std::vector<int32_t> buckets = {};  // every row's; empty: rows of any kind stand together
};

class RowOrder {
 public:
  explicit RowOrder(OrderOptions options);

  // As DataLoader without drop_last: the last micro-batch (of every bucket) may be short.
  int64_t batches_per_epoch() const { return batches_; }
  std::vector<int64_t> batch(int64_t epoch, int64_t index) const;  // threads may ask at once
  // The row that stands in for `row`, which cannot be read; of the same bucket. `attempt` counts
  // from 0.
  int64_t replacement(const DrawKey& key, int64_t row, int64_t attempt) const;

 private:
  struct Epoch {
    std::vector<int64_t> rows;    // batch after batch
    std::vector<int64_t> starts;  // of every batch, then the end
  };
  std::shared_ptr<const Epoch> epoch(int64_t number) const;
  std::vector<int64_t> permutation(int64_t epoch) const;
  Epoch in_turn(std::vector<int64_t> rows) const;
  Epoch by_bucket(const std::vector<int64_t>& rows, int64_t epoch) const;

  OrderOptions options_;
  std::vector<std::vector<int64_t>> members_;  // of every bucket
  int64_t batches_ = 0;
  mutable std::mutex mutex_;
  mutable std::map<int64_t, std::shared_ptr<const Epoch>> epochs_;  // the last few
};

// DataLoader's order in its epoch `epoch` after torch.manual_seed(seed), nothing else drawing from
// that generator: each epoch takes a base seed for the workers, then a seed for RandomSampler's own
// generator.
std::vector<int64_t> reference_order(int64_t rows, uint64_t seed, int64_t epoch);

}  // namespace icedit
