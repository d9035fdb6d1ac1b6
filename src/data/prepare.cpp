#include "data/prepare.h"

#include "base/error.h"

namespace icedit {
namespace {

constexpr int64_t kMaxAttempts = 100;

}  // namespace

PreparedSample prepare(const EditDataset& dataset, int64_t row, const HalfSizes& sizes) {
  const EditSample sample = decode(dataset.read(row));
  PreparedSample prepared;
  prepared.diptych = training_diptych(sample, dataset.rules(row), sizes);
  prepared.instructions = sample.instructions;
  prepared.task = sample.task;
  prepared.where = sample.where;
  prepared.row = row;
  return prepared;
}

PreparedSample prepare_or_replace(const EditDataset& dataset, const RowOrder& order,
                                  const DrawKey& key, int64_t row, const HalfSizes& sizes) {
  std::vector<BadRow> bad;
  int64_t candidate = row;
  for (int64_t attempt = 0; attempt < kMaxAttempts; ++attempt) {
    std::string reason;
    if (auto prepared = if_readable([&] { return prepare(dataset, candidate, sizes); }, &reason)) {
      prepared->bad = std::move(bad);
      return std::move(*prepared);
    }
    bad.push_back({dataset.where(candidate), reason});
    candidate = order.replacement(key, row, attempt);
  }
  throw DataError(
      str(kMaxAttempts, " rows one after the other cannot be read, the last: ", bad.back().reason));
}

}  // namespace icedit
