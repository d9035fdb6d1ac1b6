#include "data/loader.h"

#include <ATen/ATen.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/interrupt.h"
#include "data/prepare.h"

namespace icedit {
namespace {

struct Pending {
  DrawKey key;
  int64_t number = 0;
  std::vector<int64_t> rows;
  std::vector<std::optional<PreparedSample>> ready;
  size_t begun = 0, done = 0;
  std::exception_ptr error;
};

}  // namespace

struct Loader::Impl {
  const EditDataset& dataset;
  const LoaderOptions options;
  Quarantine& quarantine;
  RowOrder order;
  PythonRandom python_draws;

  std::mutex mutex;
  std::condition_variable work, ready;
  std::deque<std::shared_ptr<Pending>> pending;  // in order
  int64_t next_number;                           // of the micro-batch to plan
  int64_t rounds = 0;                            // micro-batches taken by this rank
  std::exception_ptr lost;                       // why a thread ended
  bool stop = false;
  std::vector<std::jthread> threads;

  Impl(const EditDataset& data, const LoaderOptions& o, Quarantine& q)
      : dataset(data),
        options(o),
        quarantine(q),
        order({data.size(), o.batch_size, o.seed, o.shuffle, o.draws, o.buckets}),
        python_draws(o.seed),
        next_number(first_number(o)) {}

  // The first of this rank's micro-batches at or after `start`.
  static int64_t first_number(const LoaderOptions& o) {
    const int64_t round = (o.start - o.rank + o.world_size - 1) / o.world_size;
    return std::max<int64_t>(round, 0) * o.world_size + o.rank;
  }

  HalfSizes half_sizes(int64_t row) const;
  PreparedSample read(const Pending& batch, size_t slot) const;
  void plan();
  std::shared_ptr<Pending> claim();
  void work_on(std::unique_lock<std::mutex>& lock, Pending& batch);
  void run();
  void read_here(Pending& batch) const;
  TrainBatch finish(Pending& batch);
  PromptDraw draw(const PreparedSample& sample, const DrawKey& key);
};

HalfSizes Loader::Impl::half_sizes(int64_t row) const {
  if (options.buckets.empty())
    return HalfSizes::squares(dataset.config().condition_size, dataset.config().target_size);
  const Size size = options.bucket_sizes.at(options.buckets.at(row));
  return {size, size};
}

PreparedSample Loader::Impl::read(const Pending& batch, size_t slot) const {
  DrawKey key = batch.key;
  key.slot = int64_t(slot);
  const int64_t row = batch.rows[slot];
  return prepare_or_replace(dataset, order, key, row, half_sizes(row));
}

// Adds the next micro-batch to the queue.
void Loader::Impl::plan() {
  auto batch = std::make_shared<Pending>();
  batch->number = next_number;
  batch->key = {options.seed, next_number / order.batches_per_epoch(),
                next_number % order.batches_per_epoch()};
  batch->rows = order.batch(batch->key.epoch, batch->key.index);
  batch->ready.resize(batch->rows.size());
  next_number += options.world_size;
  pending.push_back(std::move(batch));
}

// A micro-batch with a sample to be read, planning one where the window allows it; nullptr: wait.
std::shared_ptr<Pending> Loader::Impl::claim() {
  const bool all_begun = pending.empty() || pending.back()->begun == pending.back()->rows.size();
  if (all_begun && int(pending.size()) <= options.ahead) plan();
  for (const auto& batch : pending)
    if (batch->begun < batch->rows.size()) return batch;
  return nullptr;
}

void Loader::Impl::work_on(std::unique_lock<std::mutex>& lock, Pending& batch) {
  const size_t slot = batch.begun++;
  lock.unlock();
  std::optional<PreparedSample> prepared;
  std::exception_ptr error;
  try {
    prepared = read(batch, slot);
  } catch (...) {  // goes on in next()
    error = std::current_exception();
  }
  lock.lock();
  batch.ready[slot] = std::move(prepared);
  if (error && !batch.error) batch.error = error;
  if (++batch.done == batch.rows.size()) ready.notify_all();
}

void Loader::Impl::run() {
  std::unique_lock lock(mutex);
  try {
    while (!stop) {
      if (const auto batch = claim())
        work_on(lock, *batch);
      else
        work.wait(lock);
    }
  } catch (...) {  // out of memory
    lost = std::current_exception();
    ready.notify_all();
  }
}

void Loader::Impl::read_here(Pending& batch) const {
  for (size_t slot = 0; slot < batch.rows.size(); ++slot) batch.ready[slot] = read(batch, slot);
}

PromptDraw Loader::Impl::draw(const PreparedSample& sample, const DrawKey& key) {
  const RowRules& rules = dataset.rules(sample.row);
  const double drop = dataset.config().drop_text_prob;
  if (options.draws == DrawMode::kReference)
    return draw_prompt(rules, sample.instructions.size(), drop, python_draws);
  DrawStream draws(DrawPurpose::kPrompt, key);
  return draw_prompt(rules, sample.instructions.size(), drop, draws);
}

TrainBatch Loader::Impl::finish(Pending& pending_batch) {
  TrainBatch batch;
  batch.key = pending_batch.key;
  batch.number = pending_batch.number;
  std::vector<Tensor> images, masks;
  for (size_t slot = 0; slot < pending_batch.rows.size(); ++slot) {
    const PreparedSample& sample = *pending_batch.ready[slot];
    for (const BadRow& bad : sample.bad) quarantine.add(bad.where, bad.reason);
    DrawKey key = pending_batch.key;
    key.slot = int64_t(slot);
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
  }
  batch.image = at::stack(images);
  batch.mask = at::stack(masks);
  return batch;
}

Loader::Loader(const EditDataset& dataset, const LoaderOptions& options, Quarantine& quarantine)
    : impl_(std::make_unique<Impl>(dataset, options, quarantine)) {
  if (options.workers < 0 || options.workers > 1000)
    throw UsageError(str("train.dataloader_workers is ", options.workers, ", expected 0 to 1000"));
  for (int i = 0; i < options.workers; ++i) impl_->threads.emplace_back([this] { impl_->run(); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->work.notify_all();
}

TrainBatch Loader::next() {
  Impl& im = *impl_;
  std::unique_lock lock(im.mutex);
  if (im.options.workers == 0) im.plan();
  const auto whole = [&im] {
    return im.lost ||
           (!im.pending.empty() && im.pending.front()->done == im.pending.front()->rows.size());
  };
  while (im.options.workers > 0 && !im.ready.wait_for(lock, std::chrono::milliseconds(100), whole))
    throw_if_interrupted();
  if (im.lost) std::rethrow_exception(im.lost);
  const std::shared_ptr<Pending> batch = im.pending.front();
  im.pending.pop_front();
  lock.unlock();
  im.work.notify_all();
  if (im.options.workers == 0) im.read_here(*batch);
  if (batch->error) std::rethrow_exception(batch->error);
  TrainBatch finished = im.finish(*batch);
  ++im.rounds;
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
