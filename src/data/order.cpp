#include "data/order.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace icedit {
namespace {

constexpr size_t kEpochsKept = 3;  // threads that read ahead stand in the next epoch already

void shuffle(std::vector<int64_t>& values, DrawStream& draws) {
  for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[draws.choice(i)]);
}

std::vector<int64_t> counted(int64_t n) {
  std::vector<int64_t> values(n);
  std::iota(values.begin(), values.end(), 0);
  return values;
}

}  // namespace

RowOrder::RowOrder(OrderOptions options) : options_(std::move(options)) {
  if (options_.rows < 1) throw DataError("the data set has no row");
  if (options_.batch_size < 1)
    throw UsageError(str("train.batch_size is ", options_.batch_size, ", expected 1 or more"));
  const auto batches_of = [this](int64_t rows) {
    return (rows + options_.batch_size - 1) / options_.batch_size;
  };
  if (options_.buckets.empty()) {
    batches_ = batches_of(options_.rows);
    return;
  }
  members_.resize(*std::max_element(options_.buckets.begin(), options_.buckets.end()) + 1);
  for (int64_t row = 0; row < options_.rows; ++row)
    members_[options_.buckets.at(row)].push_back(row);
  for (const auto& members : members_) batches_ += batches_of(int64_t(members.size()));
}

std::vector<int64_t> RowOrder::permutation(int64_t epoch) const {
  if (!options_.shuffle) return counted(options_.rows);
  if (options_.draws == DrawMode::kReference)
    return reference_order(options_.rows, options_.seed, epoch);
  std::vector<int64_t> rows = counted(options_.rows);
  DrawStream draws(DrawPurpose::kOrder, {options_.seed, epoch});
  shuffle(rows, draws);
  return rows;
}

RowOrder::Epoch RowOrder::in_turn(std::vector<int64_t> rows) const {
  Epoch epoch;
  for (int64_t start = 0; start < options_.rows; start += options_.batch_size)
    epoch.starts.push_back(start);
  epoch.starts.push_back(options_.rows);
  epoch.rows = std::move(rows);
  return epoch;
}

// Rows are dealt to their buckets in their order; then the full and the short micro-batches are
// shuffled among each other.
RowOrder::Epoch RowOrder::by_bucket(const std::vector<int64_t>& rows, int64_t number) const {
  std::vector<std::vector<int64_t>> batches, open(members_.size());
  for (const int64_t row : rows) {
    std::vector<int64_t>& batch = open[options_.buckets[row]];
    batch.push_back(row);
    if (int64_t(batch.size()) == options_.batch_size) batches.push_back(std::exchange(batch, {}));
  }
  for (auto& batch : open)
    if (!batch.empty()) batches.push_back(std::move(batch));
  std::vector<int64_t> places = counted(int64_t(batches.size()));
  if (options_.shuffle) {
    DrawStream draws(DrawPurpose::kOrder, {options_.seed, number, /*index=*/1});
    shuffle(places, draws);
  }
  Epoch epoch;
  for (const int64_t place : places) {
    epoch.starts.push_back(int64_t(epoch.rows.size()));
    epoch.rows.insert(epoch.rows.end(), batches[place].begin(), batches[place].end());
  }
  epoch.starts.push_back(int64_t(epoch.rows.size()));
  return epoch;
}

std::shared_ptr<const RowOrder::Epoch> RowOrder::epoch(int64_t number) const {
  const std::lock_guard lock(mutex_);
  auto& known = epochs_[number];
  if (!known) {
    std::vector<int64_t> rows = permutation(number);
    known = std::make_shared<const Epoch>(options_.buckets.empty() ? in_turn(std::move(rows))
                                                                   : by_bucket(rows, number));
  }
  const auto found = known;
  while (epochs_.size() > kEpochsKept)
    epochs_.erase(epochs_.begin()->first == number ? std::prev(epochs_.end()) : epochs_.begin());
  return found;
}

std::vector<int64_t> RowOrder::batch(int64_t number, int64_t index) const {
  if (index < 0 || index >= batches_)
    throw std::out_of_range(str("micro-batch ", index, " of ", batches_));
  const auto order = epoch(number);
  return {order->rows.begin() + order->starts[index],
          order->rows.begin() + order->starts[index + 1]};
}

int64_t RowOrder::replacement(const DrawKey& key, int64_t row, int64_t attempt) const {
  DrawKey place = key;
  place.slot = key.slot * 1000 + attempt;
  DrawStream draws(DrawPurpose::kReplacement, place);
  if (options_.buckets.empty()) return int64_t(draws.choice(size_t(options_.rows)));
  const auto& members = members_[options_.buckets.at(row)];
  return members[draws.choice(members.size())];
}

std::vector<int64_t> reference_order(int64_t rows, uint64_t seed, int64_t epoch) {
  at::Generator global = at::detail::createCPUGenerator(seed);
  const auto draw = [&global] { return at::empty({}, at::kLong).random_(global).item<int64_t>(); };
  int64_t sampler_seed = 0;
  for (int64_t e = 0; e <= epoch; ++e) {
    draw();
    sampler_seed = draw();
  }
  at::Generator sampler = at::detail::createCPUGenerator(uint64_t(sampler_seed));
  const at::Tensor order = at::randperm(rows, sampler, at::TensorOptions().dtype(at::kLong));
  return {order.data_ptr<int64_t>(), order.data_ptr<int64_t>() + rows};
}

}  // namespace icedit
