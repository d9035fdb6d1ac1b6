#pragma once
// Micro-batches for one rank, read ahead by threads. What comes out, and in which order, is the
// same for any number of threads; rank k of W gets the micro-batches k, W + k, 2 W + k, ... of a
// stream that goes through the epochs.
#include <memory>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "data/dataset.h"
#include "data/order.h"
#include "data/quarantine.h"
#include "data/transform.h"

namespace icedit {

struct LoaderOptions {
  int64_t batch_size = 1;
  int workers = 5;  // threads; 0: rows are read when they are asked for
  int ahead = 4;    // micro-batches that are read or being read beyond the one that is used
  uint64_t seed = 666;
  DrawMode draws = DrawMode::kKeyed;
  bool shuffle = true;
  int rank = 0, world_size = 1;
  int64_t start = 0;  // the first micro-batch, counted over all ranks: how far the run has come
  // resize: bucket. Every row's bucket and their sizes; empty: squares.
  std::vector<int32_t> buckets = {};
  std::vector<Size> bucket_sizes = {};
};

struct TrainBatch {
  Tensor image;                              // [B, 3, H, 2 W] f32 in 0..1: [source | target]
  Tensor mask;                               // [B, 1, H, 2 W] f32: 1 in the right half
  std::vector<std::string> descriptions;     // the whole prompts
  std::vector<std::string> condition_types;  // "edit", "edit_n"
  std::vector<std::string> tasks, where;
  std::vector<int64_t> rows;  // of the data set
  std::vector<bool> dropped;  // prompts
  DrawKey key;                // seed, epoch, index: what the training step draws by
  int64_t number = 0;         // in the stream over all ranks and epochs
};

class Loader {
 public:
  // `dataset` and `quarantine` outlive the loader. Throws UsageError.
  Loader(const EditDataset& dataset, const LoaderOptions& options, Quarantine& quarantine);
  ~Loader();  // waits for the threads

  // Throws DataError (more bad rows than allowed; a hundred in a row), Interrupted, whatever else
  // reading threw.
  TrainBatch next();

  int64_t batches_per_epoch() const;  // over all ranks
  HalfSizes half_sizes(int64_t row) const;
  // Where to start to go on from here, all ranks having taken as many micro-batches as this one.
  int64_t position() const;
  // Where the reference draws stand at `position`; empty with keyed draws.
  std::vector<int64_t> draw_state() const;
  void set_draw_state(const std::vector<int64_t>& state);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace icedit
