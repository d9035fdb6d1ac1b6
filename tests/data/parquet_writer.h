#pragma once
// Small Parquet files, in the shapes that writers of edit data sets use.
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/files.h"
#include "io/image.h"

namespace icedit {

struct WrittenColumn {
  enum Kind {
    kStruct,  // {bytes: binary, path: string}: Hugging Face's Image; null bytes have a null path
    kImages,  // the same; a cell "@PATH" has null bytes and that path, the others have no path
    kPaths,   // {bytes: null, path: string}, as pandas writes where no row has bytes
    kBinary,  // binary
    kLargeBinary,
    kString,
    kLargeString,
    kList,  // list<string>; a cell's texts are split at '|'
    kInt64,
    kNull  // of no type; every cell is null
  };
  std::string name;
  Kind kind;
  std::vector<std::optional<std::string>> cells;
};

// Throws std::runtime_error.
void write_parquet(const Path& path, const std::vector<WrittenColumn>& columns,
                   int64_t group_rows = 3);

// A PNG whose pixels tell `number`.
std::string numbered_png(int number, int width = 32, int height = 32);

// MagicBrush's columns: row k has numbered_png(2 k) and numbered_png(2 k + 1) and "edit k"; rows in
// `broken` have no picture in their source.
void write_magicbrush(const Path& path, int rows, const std::vector<int>& broken = {},
                      int64_t group_rows = 3);

}  // namespace icedit
