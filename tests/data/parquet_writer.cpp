#include "parquet_writer.h"

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/writer.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace icedit {
namespace {

using Cells = std::vector<std::optional<std::string>>;

void expect(const arrow::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

template <class Builder>
std::shared_ptr<arrow::Array> simple(const Cells& cells) {
  Builder builder;
  for (const auto& cell : cells) expect(cell ? builder.Append(*cell) : builder.AppendNull());
  return builder.Finish().ValueOrDie();
}

std::shared_ptr<arrow::Array> numbers(const Cells& cells) {
  arrow::Int64Builder builder;
  for (const auto& cell : cells)
    expect(cell ? builder.Append(std::stoll(*cell)) : builder.AppendNull());
  return builder.Finish().ValueOrDie();
}

std::shared_ptr<arrow::Array> lists(const Cells& cells) {
  const auto texts = std::make_shared<arrow::StringBuilder>();
  arrow::ListBuilder builder(arrow::default_memory_pool(), texts);
  for (const auto& cell : cells) {
    if (!cell) {
      expect(builder.AppendNull());
      continue;
    }
    expect(builder.Append());
    std::istringstream parts(*cell);
    for (std::string part; std::getline(parts, part, '|');) expect(texts->Append(part));
  }
  return builder.Finish().ValueOrDie();
}

std::shared_ptr<arrow::Array> nulls(size_t count) {
  return arrow::MakeArrayOfNull(arrow::null(), int64_t(count)).ValueOrDie();
}

std::shared_ptr<arrow::Array> image(std::shared_ptr<arrow::Array> bytes, const Cells& paths) {
  return arrow::StructArray::Make({std::move(bytes), simple<arrow::StringBuilder>(paths)},
                                  std::vector<std::string>{"bytes", "path"})
      .ValueOrDie();
}

std::shared_ptr<arrow::Array> bytes_or_paths(const Cells& cells) {
  Cells bytes = cells, paths(cells.size());
  for (size_t i = 0; i < cells.size(); ++i)
    if (cells[i] && cells[i]->starts_with('@')) {
      paths[i] = cells[i]->substr(1);
      bytes[i].reset();
    }
  return image(simple<arrow::BinaryBuilder>(bytes), paths);
}

std::shared_ptr<arrow::Array> array_of(const WrittenColumn& column) {
  switch (column.kind) {
    case WrittenColumn::kStruct: {
      Cells paths = column.cells;
      for (auto& path : paths)
        if (path) path = "p.png";
      return image(simple<arrow::BinaryBuilder>(column.cells), paths);
    }
    case WrittenColumn::kImages:
      return bytes_or_paths(column.cells);
    case WrittenColumn::kPaths:
      return image(nulls(column.cells.size()), column.cells);
    case WrittenColumn::kNull:
      return nulls(column.cells.size());
    case WrittenColumn::kBinary:
      return simple<arrow::BinaryBuilder>(column.cells);
    case WrittenColumn::kLargeBinary:
      return simple<arrow::LargeBinaryBuilder>(column.cells);
    case WrittenColumn::kString:
      return simple<arrow::StringBuilder>(column.cells);
    case WrittenColumn::kLargeString:
      return simple<arrow::LargeStringBuilder>(column.cells);
    case WrittenColumn::kList:
      return lists(column.cells);
    case WrittenColumn::kInt64:
      return numbers(column.cells);
  }
  throw std::runtime_error("unknown kind");
}

}  // namespace

void write_parquet(const Path& path, const std::vector<WrittenColumn>& columns,
                   int64_t group_rows) {
  std::vector<std::shared_ptr<arrow::Array>> arrays;
  std::vector<std::shared_ptr<arrow::Field>> fields;
  for (const WrittenColumn& column : columns) {
    arrays.push_back(array_of(column));
    fields.push_back(arrow::field(column.name, arrays.back()->type()));
  }
  const auto table = arrow::Table::Make(arrow::schema(fields), arrays);
  std::filesystem::create_directories(path.parent_path());
  const auto out = arrow::io::FileOutputStream::Open(path.string()).ValueOrDie();
  // The Arrow schema goes along, so that large types come back as such.
  const auto arrow_properties = parquet::ArrowWriterProperties::Builder().store_schema()->build();
  expect(parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), out, group_rows,
                                    parquet::default_writer_properties(), arrow_properties));
  expect(out->Close());
}

std::string numbered_png(int number, int width, int height) {
  Image image(width, height);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = uint8_t(number + i % 3);
  return encode_image(image, ImageFormat::kPng);
}

void write_magicbrush(const Path& path, int rows, const std::vector<int>& broken,
                      int64_t group_rows) {
  Cells sources, targets, instructions;
  for (int k = 0; k < rows; ++k) {
    const bool bad = std::find(broken.begin(), broken.end(), k) != broken.end();
    sources.push_back(bad ? "no picture" : numbered_png(2 * k));
    targets.push_back(numbered_png(2 * k + 1));
    instructions.push_back("edit " + std::to_string(k));
  }
  write_parquet(path,
                {{"source_img", WrittenColumn::kStruct, sources},
                 {"target_img", WrittenColumn::kStruct, targets},
                 {"instruction", WrittenColumn::kString, instructions}},
                group_rows);
}

}  // namespace icedit
