#pragma once
// Values out of Arrow arrays whose types vary between writers.
#include <cstdint>
#include <string_view>
#include <vector>

namespace arrow {
class Array;
class DataType;
}  // namespace arrow

namespace icedit {

enum class ColumnKind;

// A value, which lies in its group's memory.
struct Cell {
  bool given = false;                         // neither null nor missing
  std::vector<std::string_view> values = {};  // a picture's bytes, a text, or a list of texts
  std::string_view path = {};                 // of a picture whose bytes are null
};

// Nothing for null. The array is of a type that is_readable allows.
Cell cell_at(const arrow::Array& array, int64_t row);
// Whether a column of this type can be read as `kind`.
bool is_readable(const arrow::DataType& type, ColumnKind kind);
// "a picture ({bytes, path} or binary)": for errors.
const char* kind_text(ColumnKind kind);

}  // namespace icedit
