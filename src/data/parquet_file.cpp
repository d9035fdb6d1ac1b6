#include "data/parquet_file.h"

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/util/byte_size.h>
#include <parquet/api/reader.h>
#include <parquet/arrow/reader.h>

#include <algorithm>

#include "base/error.h"
#include "base/progress.h"

namespace icedit {
namespace {

// A row group is read whole. Writers of picture sets put about 100 rows into one.
constexpr int64_t kMaxGroupBytes = int64_t{4} << 30;
// So many bytes of it, on average, become one piece: Arrow makes no struct of pictures that take
// 2 GiB together.
constexpr int64_t kBatchBytes = int64_t{64} << 20;
constexpr int64_t kMaxBatchRows = 1000;

[[noreturn]] void throw_damaged(const Path& path, const std::string& reason) {
  throw DataError(str(path.string(), ": this is no Parquet file, or a damaged one (", reason,
                      "); download it again"));
}

void expect(const Path& path, const arrow::Status& status) {
  if (status.IsNotImplemented())
    throw DataError(str(path.string(), ": Arrow cannot read this Parquet file (", status.message(),
                        "); write it again with row_group_size=100"));
  if (!status.ok()) throw_damaged(path, status.message());
}

// Arrow's errors come as a Status or, from Parquet's own layer, as an exception.
template <class Call>
auto guarded(const Path& path, Call call) {
  try {
    return call();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw_damaged(path, error.what());
  }
}

}  // namespace

struct ParquetFile::Impl {
  Path path;
  std::unique_ptr<parquet::arrow::FileReader> reader;
  std::shared_ptr<arrow::Schema> schema;

  const parquet::FileMetaData& metadata() const { return *reader->parquet_reader()->metadata(); }
  bool can_read(const Column& column) const;
  std::vector<int> leaves(const std::vector<Column>& columns) const;
  int64_t batch_rows(int group) const;
  void check_groups(int64_t file_size) const;
};

// What the footer claims, before anything is allocated for it.
void ParquetFile::Impl::check_groups(int64_t file_size) const {
  for (int group = 0; group < metadata().num_row_groups(); ++group) {
    const auto info = metadata().RowGroup(group);
    if (info->num_rows() < 0 || info->total_byte_size() < 0)
      throw_damaged(path, "a negative size in its footer");
    int64_t stored = 0;
    for (int column = 0; column < info->num_columns(); ++column)
      stored += info->ColumnChunk(column)->total_compressed_size();
    if (stored > file_size) throw_damaged(path, "its footer claims more bytes than the file has");
    if (info->total_byte_size() > kMaxGroupBytes)
      throw DataError(str(path.string(), ": row group ", group, " takes ",
                          bytes_text(double(info->total_byte_size())), " in memory, at most ",
                          bytes_text(double(kMaxGroupBytes)),
                          " are read at once; write the file again with row_group_size=100"));
  }
}

bool ParquetFile::Impl::can_read(const Column& column) const {
  const auto fields = schema->GetAllFieldsByName(column.name);
  return fields.size() == 1 && is_readable(*fields[0]->type(), column.kind);
}

int64_t ParquetFile::Impl::batch_rows(int group) const {
  const auto info = metadata().RowGroup(group);
  const int64_t row_bytes = info->total_byte_size() / std::max<int64_t>(info->num_rows(), 1) + 1;
  return std::clamp<int64_t>(kBatchBytes / row_bytes, 1, kMaxBatchRows);
}

// The numbers of the leaf columns that make up the wanted ones; of a picture's struct no more than
// bytes and path.
std::vector<int> ParquetFile::Impl::leaves(const std::vector<Column>& columns) const {
  std::vector<int> found;
  const auto* leaf_schema = metadata().schema();
  for (int leaf = 0; leaf < leaf_schema->num_columns(); ++leaf) {
    const auto path_in_file = leaf_schema->Column(leaf)->path()->ToDotVector();
    for (const Column& column : columns) {
      if (path_in_file[0] != column.name || !can_read(column)) continue;
      const bool aside = column.kind == ColumnKind::kPicture && path_in_file.size() == 2 &&
                         path_in_file[1] != "bytes" && path_in_file[1] != "path";
      if (!aside) found.push_back(leaf);
      break;
    }
  }
  return found;
}

ParquetFile::ParquetFile(const Path& path) : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored))
    throw NoInputError(str(path.string(), ": there is no such file"));
  guarded(path, [&] {
    auto file = arrow::io::ReadableFile::Open(path.string());
    if (!file.ok())
      throw IoError(str(path.string(), ": cannot be opened: ", file.status().message()));
    const auto size = (*file)->GetSize();
    expect(path, size.status());
    auto properties = parquet::default_reader_properties();
    properties.set_page_checksum_verification(true);  // where the writer made any
    parquet::arrow::FileReaderBuilder builder;
    expect(path, builder.Open(*file, properties));
    parquet::ArrowReaderProperties reading;
    reading.set_pre_buffer(false);  // one column's stored bytes at a time, not the whole group's
    builder.properties(reading);
    expect(path, builder.Build(&impl_->reader));
    impl_->reader->set_use_threads(false);  // the loader has its own
    expect(path, impl_->reader->GetSchema(&impl_->schema));
    impl_->check_groups(*size);
  });
}

ParquetFile::~ParquetFile() = default;

std::vector<int64_t> ParquetFile::group_rows() const {
  std::vector<int64_t> rows;
  for (int group = 0; group < impl_->metadata().num_row_groups(); ++group)
    rows.push_back(impl_->metadata().RowGroup(group)->num_rows());
  return rows;
}

std::vector<std::string> ParquetFile::column_names() const {
  return impl_->schema->field_names();
}

void ParquetFile::check(const std::vector<Column>& columns) const {
  for (const Column& column : columns) {
    if (column.optional || impl_->can_read(column)) continue;
    const auto fields = impl_->schema->GetAllFieldsByName(column.name);
    const std::string file = impl_->path.string();
    if (fields.empty())
      throw DataError(str(file, ": there is no column '", column.name, "', there are ",
                          column_names(), "; is it the file for this dataset type?"));
    if (fields.size() > 1)
      throw DataError(str(file, ": there are ", fields.size(), " columns '", column.name,
                          "', and which is meant is not said; write it again with one"));
    throw DataError(str(file, ": column '", column.name, "' is of type ",
                        fields[0]->type()->ToString(), ", expected ", kind_text(column.kind)));
  }
}

ParquetGroup ParquetFile::read(int number, const std::vector<Column>& columns) const {
  return guarded(impl_->path, [&] {
    impl_->reader->set_batch_size(impl_->batch_rows(number));
    const auto batches = impl_->reader->GetRecordBatchReader({number}, impl_->leaves(columns));
    expect(impl_->path, batches.status());
    ParquetGroup group;
    group.cells.resize(columns.size());
    for (;;) {
      const auto batch = (*batches)->Next();
      expect(impl_->path, batch.status());
      if (*batch == nullptr) return group;
      expect(impl_->path, (*batch)->Validate());  // offsets within their buffers
      group.bytes += size_t(arrow::util::TotalBufferSize(**batch));
      for (size_t i = 0; i < columns.size(); ++i)
        if (const auto array = (*batch)->GetColumnByName(columns[i].name))
          for (int64_t row = 0; row < array->length(); ++row)
            group.cells[i].push_back(cell_at(*array, row));
      group.owners.push_back(*batch);
    }
  });
}

}  // namespace icedit
