#include "data/prepare.h"

#include <optional>

#include "base/error.h"

namespace icedit {
namespace {

constexpr int64_t kMaxAttempts = 100;

// Nothing, and why, for a row that cannot be read.
std::optional<PreparedSample> try_prepare(const EditDataset& dataset, int64_t row,
                                          const HalfSizes& sizes, std::string& reason) {
  try {
    return prepare(dataset, row, sizes);
  } catch (const DataError& error) {
    reason = error.what();
  } catch (const NoInputError& error) {
    reason = error.what();
  } catch (const IoError& error) {
    reason = error.what();
  }
  return std::nullopt;
}

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
    if (auto prepared = try_prepare(dataset, candidate, sizes, reason)) {
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
