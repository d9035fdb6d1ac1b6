#include "data/loader.h"

#include <ATen/ATen.h>

#include <deque>

#include "base/error.h"
#include "data/scan.h"

namespace icedit {
namespace {

constexpr int64_t kMaxAttempts = 100;

// A row that cannot be read is replaced by another, chosen by the place in the run and not by what
// others do, so that a micro-batch keeps its size. Throws DataError after a hundred in a row.
PreparedSample prepare_or_replace(const EditDataset& dataset, const RowOrder& order,
                                  const DrawKey& key, int64_t row, const HalfSizes& sizes) {
  std::vector<BadRow> bad;
  int64_t candidate = row;
  for (int64_t attempt = 0; attempt < kMaxAttempts; ++attempt) {
    auto prepared = if_readable([&] { return prepare(dataset, candidate, sizes); });
    if (prepared) {
      prepared->bad = std::move(bad);
      return std::move(*prepared);
    }
    bad.push_back({dataset.where(candidate), prepared.why_not});
    candidate = order.replacement(key, row, attempt);
  }
  throw DataError(
      str(kMaxAttempts, " rows one after the other cannot be read, the last: ", bad.back().reason));
}

const LoaderOptions& checked(const LoaderOptions& options) {
  if (options.workers < 0 || options.workers > 1000)
    throw UsageError(str("train.dataloader_workers is ", options.workers, ", expected 0 to 1000"));
  return options;
}

}  // namespace

struct Loader::Impl {
  struct Pending {
    DrawKey key;
    int64_t number = 0;
    std::vector<std::future<PreparedSample>> samples;
  };

  const EditDataset& dataset;
  const LoaderOptions options;
  Quarantine& quarantine;
  RowOrder order;
  PythonRandom python_draws;
  std::deque<Pending> pending;  // in order
  int64_t next_number;          // of the micro-batch to plan
  int64_t rounds = 0;           // micro-batches taken by this rank
  Workers workers;              // the last, so that its threads end before what they use

  Impl(const EditDataset& data, const LoaderOptions& o, Quarantine& q)
      : dataset(data),
        options(o),
        quarantine(q),
        order({data.size(), o.batch_size, o.seed, o.shuffle, o.draws, o.buckets}),
        python_draws(o.seed),
        next_number(first_number(o)),
        workers(o.workers) {}

  // The first of this rank's micro-batches at or after `start`.
  static int64_t first_number(const LoaderOptions& o) {
    const int64_t round = (o.start - o.rank + o.world_size - 1) / o.world_size;
    return std::max<int64_t>(round, 0) * o.world_size + o.rank;
  }

  HalfSizes half_sizes(int64_t row) const;
  void plan();
  TrainBatch finish(Pending batch);
  PromptDraw draw(const PreparedSample& sample, const DrawKey& key);
};

HalfSizes Loader::Impl::half_sizes(int64_t row) const {
  if (options.buckets.empty())
    return HalfSizes::squares(dataset.config().condition_size, dataset.config().target_size);
  const Size size = options.bucket_sizes.at(options.buckets.at(row));
  return {size, size};
}

// Begins to read the next micro-batch.
void Loader::Impl::plan() {
  Pending& batch = pending.emplace_back();
  batch.number = next_number;
  batch.key = {options.seed, next_number / order.batches_per_epoch(),
               next_number % order.batches_per_epoch()};
  next_number += options.world_size;
  DrawKey key = batch.key;
  for (const int64_t row : order.batch(key.epoch, key.index)) {
    batch.samples.push_back(workers.start([this, key, row] {
      return prepare_or_replace(dataset, order, key, row, half_sizes(row));
    }));
    ++key.slot;
  }
}

PromptDraw Loader::Impl::draw(const PreparedSample& sample, const DrawKey& key) {
  const RowRules& rules = dataset.rules(sample.row);
  const double drop = dataset.config().drop_text_prob;
  if (options.draws == DrawMode::kReference)
    return draw_prompt(rules, sample.instructions.size(), drop, python_draws);
  DrawStream draws(DrawPurpose::kPrompt, key);
  return draw_prompt(rules, sample.instructions.size(), drop, draws);
}

TrainBatch Loader::Impl::finish(Pending begun) {
  TrainBatch batch;
  batch.key = begun.key;
  batch.number = begun.number;
  std::vector<Tensor> images, masks;
  DrawKey key = begun.key;
  for (auto& result : begun.samples) {
    const PreparedSample sample = result_of(result);
    for (const BadRow& bad : sample.bad) quarantine.add(bad.where, bad.reason);
    const PromptDraw drawn = draw(sample, key);
    const RowRules& rules = dataset.rules(sample.row);
    batch.descriptions.push_back(description(rules, sample.instructions, drawn));
    batch.condition_types.push_back(rules.condition_type);
    batch.tasks.push_back(sample.task);
    batch.where.push_back(sample.where);
    batch.rows.push_back(sample.row);
    batch.dropped.push_back(drawn.dropped);
    images.push_back(to_unit_tensor(sample.diptych.image));
    masks.push_back(to_unit_tensor(sample.diptych.mask));
    ++key.slot;
  }
  batch.image = at::stack(images);
  batch.mask = at::stack(masks);
  return batch;
}

Loader::Loader(const EditDataset& dataset, const LoaderOptions& options, Quarantine& quarantine)
    : impl_(std::make_unique<Impl>(dataset, checked(options), quarantine)) {}

Loader::~Loader() = default;

TrainBatch Loader::next() {
  const size_t wanted = impl_->options.workers > 0 ? size_t(impl_->options.ahead) + 1 : 1;
  while (impl_->pending.size() < wanted) impl_->plan();
  Impl::Pending batch = std::move(impl_->pending.front());
  impl_->pending.pop_front();
  TrainBatch finished = impl_->finish(std::move(batch));
  ++impl_->rounds;
  return finished;
}

int64_t Loader::batches_per_epoch() const {
  return impl_->order.batches_per_epoch();
}

HalfSizes Loader::half_sizes(int64_t row) const {
  return impl_->half_sizes(row);
}

int64_t Loader::position() const {
  return impl_->options.start + impl_->rounds * impl_->options.world_size;
}

std::vector<int64_t> Loader::draw_state() const {
  if (impl_->options.draws != DrawMode::kReference) return {};
  return impl_->python_draws.state();
}

void Loader::set_draw_state(const std::vector<int64_t>& state) {
  if (impl_->options.draws == DrawMode::kReference) impl_->python_draws.set_state(state);
}

}  // namespace icedit
