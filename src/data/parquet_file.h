#pragma once
// One open Parquet file, through Arrow: for parquet.cpp and published.cpp.
#include <memory>
#include <string>
#include <vector>

#include "data/parquet.h"
#include "data/parquet_values.h"

namespace icedit {

// The values of a row group: a list for each of the columns that were asked for, empty for an
// optional one that is missing or of another type.
struct ParquetGroup {
  std::vector<std::vector<Cell>> cells;
  size_t bytes = 0;  // that they take
  std::vector<std::shared_ptr<const void>> owners;
};

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
  ParquetGroup read(int group, const std::vector<Column>& columns) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace icedit
