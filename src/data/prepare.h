#pragma once
// All of a sample that takes time: reading, decoding, resizing. Nothing is drawn here.
#include <string>
#include <vector>

#include "data/order.h"
#include "data/transform.h"

namespace icedit {

struct PreparedSample {
  Diptych diptych;
  std::vector<std::string> instructions;
  std::string task, where;
  int64_t row = 0;
  std::vector<BadRow> bad;  // rows that were to stand here
};

// Throws DataError, NoInputError, IoError: the row cannot be read.
PreparedSample prepare(const EditDataset& dataset, int64_t row, const HalfSizes& sizes);

// A row that cannot be read is replaced by another, chosen by the place in the run and not by what
// others do, so that a micro-batch keeps its size. Throws DataError after a hundred in a row.
PreparedSample prepare_or_replace(const EditDataset& dataset, const RowOrder& order,
                                  const DrawKey& key, int64_t row, const HalfSizes& sizes);

}  // namespace icedit
