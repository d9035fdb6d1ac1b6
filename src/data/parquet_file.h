#pragma once
// One open Parquet file, through Arrow; for parquet.cpp and shards.cpp.
#include <memory>
#include <string>
#include <vector>

#include "data/parquet.h"

namespace arrow {
class Array;
}  // namespace arrow

namespace icedit {

// A column's values in one row group, in as many pieces as Arrow likes.
using Chunks = std::vector<std::shared_ptr<arrow::Array>>;

class ParquetFile {
 public:
  // Throws NoInputError, DataError.
  explicit ParquetFile(const Path& path);
  ~ParquetFile();

  std::vector<int64_t> group_rows() const;
  std::vector<std::string> column_names() const;
  // Throws DataError unless the file has the columns once, of types that can be read so; the
  // optional ones need not.
  void check(const std::vector<Column>& columns) const;
  // The columns' values, empty for an optional one that is missing or of another type; the bytes
  // they take are added to `bytes`.
  std::vector<Chunks> read(int group, const std::vector<Column>& columns, size_t* bytes) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace icedit
