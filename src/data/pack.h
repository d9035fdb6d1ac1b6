#pragma once
// Rows as one Parquet file in MagicBrush's columns, for other readers and for quicker loading.
// Source of the columns and of the `huggingface` entry: the published data set's own schema.
#include <vector>

#include "data/rows.h"

namespace icedit {

struct PackResult {
  int64_t rows = 0;  // written
  std::vector<BadRow> unreadable;
};

// img_id, turn_index (1), source_img, instruction, target_img, and task where a row has one. The
// pictures' bytes go in as they are, after they were decoded once on `threads` threads; rows that
// cannot be read are left out and reported. A row with several instructions becomes as many rows.
// The schema carries the `huggingface` entry, so that the datasets library shows pictures. Row
// groups have about 64 MiB. Written atomically. Throws IoError, Interrupted, DataError: no row can
// be read.
PackResult pack_rows(const EditRows& rows, const Path& file, int threads);

}  // namespace icedit
