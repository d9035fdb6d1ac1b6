#pragma once
// A Parquet file in MagicBrush's columns, row after row; for pack.cpp alone.
// Source of the columns and of the `huggingface` entry: the published data set's own schema.
#include <memory>
#include <ostream>

#include "data/rows.h"

namespace icedit {

class MagicBrushWriter {
 public:
  // `file`: for errors. `out` outlives the writer.
  MagicBrushWriter(const Path& file, std::ostream& out, bool with_task);
  ~MagicBrushWriter();

  // A row for each instruction; the bytes are copied. Throws IoError.
  void add(const EncodedSample& sample);
  // Writes what is left and the footer; returns the number of rows.
  int64_t finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace icedit
