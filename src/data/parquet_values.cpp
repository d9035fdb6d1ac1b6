#include "data/parquet_values.h"

#include <arrow/api.h>

#include <optional>

#include "data/parquet.h"

namespace icedit {
namespace {

using arrow::Type;

bool is_text(Type::type id) {
  return id == Type::STRING || id == Type::LARGE_STRING || id == Type::STRING_VIEW;
}

bool is_bytes(Type::type id) {
  return is_text(id) || id == Type::BINARY || id == Type::LARGE_BINARY || id == Type::BINARY_VIEW;
}

// Hugging Face's Image feature: {bytes: binary, path: string}, either of which may be missing, or
// null in every row and then of no type.
bool is_image_struct(const arrow::DataType& type) {
  if (type.id() != Type::STRUCT) return false;
  const auto& fields = static_cast<const arrow::StructType&>(type);
  const auto has = [&fields](const char* name) {
    const auto field = fields.GetFieldByName(name);
    return field && is_bytes(field->type()->id());
  };
  return has("bytes") || has("path");
}

bool is_text_or_dictionary(const arrow::DataType& type) {
  if (is_text(type.id())) return true;
  return type.id() == Type::DICTIONARY &&
         is_text(static_cast<const arrow::DictionaryType&>(type).value_type()->id());
}

bool is_texts(const arrow::DataType& type) {
  if (type.id() != Type::LIST && type.id() != Type::LARGE_LIST) return is_text_or_dictionary(type);
  return is_text_or_dictionary(*static_cast<const arrow::BaseListType&>(type).value_type());
}

std::optional<std::string_view> bytes_at(const arrow::Array& array, int64_t row) {
  if (array.IsNull(row)) return std::nullopt;
  switch (array.type_id()) {
    case Type::STRING:
    case Type::BINARY:
      return static_cast<const arrow::BinaryArray&>(array).GetView(row);
    case Type::LARGE_STRING:
    case Type::LARGE_BINARY:
      return static_cast<const arrow::LargeBinaryArray&>(array).GetView(row);
    case Type::STRING_VIEW:
    case Type::BINARY_VIEW:
      return static_cast<const arrow::BinaryViewArray&>(array).GetView(row);
    default:
      return std::nullopt;
  }
}

std::optional<std::string_view> text_at(const arrow::Array& array, int64_t row) {
  if (array.type_id() != Type::DICTIONARY) return bytes_at(array, row);
  if (array.IsNull(row)) return std::nullopt;
  const auto& coded = static_cast<const arrow::DictionaryArray&>(array);
  const int64_t code = coded.GetValueIndex(row);
  if (code < 0 || code >= coded.dictionary()->length()) return std::nullopt;
  return bytes_at(*coded.dictionary(), code);
}

template <class List>
std::vector<std::string_view> list_at(const arrow::Array& array, int64_t row) {
  const auto& list = static_cast<const List&>(array);
  std::vector<std::string_view> texts;
  const int64_t first = list.value_offset(row);
  for (int64_t i = first; i < first + list.value_length(row); ++i)
    if (const auto text = text_at(*list.values(), i)) texts.push_back(*text);
  return texts;
}

// A field of an image's struct.
std::optional<std::string_view> field_at(const arrow::StructArray& array, int64_t row,
                                         const char* name) {
  const auto field = array.GetFieldByName(name);
  return field ? bytes_at(*field, row) : std::nullopt;
}

}  // namespace

bool is_readable(const arrow::DataType& type, ColumnKind kind) {
  switch (kind) {
    case ColumnKind::kPicture:
      return is_image_struct(type) || (is_bytes(type.id()) && !is_text(type.id()));
    case ColumnKind::kText:
      return is_text_or_dictionary(type);
    case ColumnKind::kTexts:
      return is_texts(type);
  }
  return false;
}

const char* kind_text(ColumnKind kind) {
  switch (kind) {
    case ColumnKind::kPicture:
      return "pictures: binary, or a struct {bytes, path}";
    case ColumnKind::kText:
      return "text";
    case ColumnKind::kTexts:
      return "a list of texts, or text";
  }
  return "";
}

Cell cell_at(const arrow::Array& array, int64_t row) {
  if (array.IsNull(row)) return {};
  std::optional<std::string_view> value;
  switch (array.type_id()) {
    case Type::LIST:
      return {true, list_at<arrow::ListArray>(array, row)};
    case Type::LARGE_LIST:
      return {true, list_at<arrow::LargeListArray>(array, row)};
    case Type::STRUCT: {
      const auto& image = static_cast<const arrow::StructArray&>(array);
      value = field_at(image, row, "bytes");
      if (!value) return {false, {}, field_at(image, row, "path").value_or("")};
      break;
    }
    default:
      value = text_at(array, row);
  }
  return value ? Cell{true, {*value}} : Cell{};
}

}  // namespace icedit
