#pragma once
// Rows of one or many Parquet files, in the files' order. Row groups are read when a row of theirs
// is asked for and kept for a while; never a whole file.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/files.h"

namespace icedit {

enum class ColumnKind {
  kPicture,  // encoded bytes: a binary column, or a Hugging Face {bytes, path} struct; without
             // bytes those of the file at `path`, from the Parquet file's folder
  kText,     // a string
  kTexts,    // a list of strings, or one string
};

struct Column {
  std::string name;
  ColumnKind kind;
  bool optional = false;  // may be missing or of another type; it then reads as null
};

// One row; keeps its row group in memory.
class ParquetRow {
 public:
  // By the columns' place in the table's list. Throw DataError where there is no value.
  Bytes picture(size_t column) const;  // lasts as long as this row
  std::string text(size_t column) const;
  std::vector<std::string> texts(size_t column) const;
  bool has(size_t column) const;                       // neither null nor missing
  const std::string& where() const { return where_; }  // "FILE: row N"

 private:
  friend class ParquetTable;
  struct Group;
  const std::vector<std::string_view>& values(size_t column) const;

  std::shared_ptr<const Group> group_;
  size_t row_ = 0;  // in the group
  std::string where_;
  std::map<size_t, std::string> files_;  // contents, of the columns whose pictures are files
};

class ParquetTable {
 public:
  // Reads the files' footers. Throws NoInputError, DataError (not Parquet, damaged, a column
  // missing: named with those there are, or of another type).
  ParquetTable(std::vector<Path> files, std::vector<Column> columns,
               size_t cache_bytes = size_t{512} << 20);
  ~ParquetTable();
  ParquetTable(ParquetTable&&) noexcept;

  int64_t rows() const;
  // Threads may read at once. Throws DataError (damaged), IoError, NoInputError: the file of a
  // picture is not there.
  ParquetRow read(int64_t row) const;
  // One text column of all rows, the pictures beside it unread; "" for null, and in files without
  // such a column; empty where no row has a text.
  std::vector<std::string> text_column(const std::string& name) const;
  // Where a row lies: its file and its number there, from 0.
  std::pair<Path, int64_t> place(int64_t row) const;
  std::string where(int64_t row) const;  // "FILE: row N"

  int64_t groups_read() const;  // so far

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace icedit
