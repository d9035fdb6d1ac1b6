#pragma once
// Values out of Arrow arrays whose types vary between writers; for parquet.cpp and
// parquet_file.cpp.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace arrow {
class Array;
class DataType;
}  // namespace arrow

namespace icedit {

enum class ColumnKind;

// Whether a column of this type can be read as `kind`.
bool is_readable(const arrow::DataType& type, ColumnKind kind);
// "a picture ({bytes, path} or binary)": for errors.
const char* kind_text(ColumnKind kind);

// Nothing for null. The array is of a type that is_readable allows.
std::optional<std::string_view> picture_at(const arrow::Array& array, int64_t row);
// Where the picture lies, of a struct whose bytes are null.
std::optional<std::string_view> picture_path_at(const arrow::Array& array, int64_t row);
std::optional<std::string_view> text_at(const arrow::Array& array, int64_t row);
std::optional<std::vector<std::string>> texts_at(const arrow::Array& array, int64_t row);

}  // namespace icedit
