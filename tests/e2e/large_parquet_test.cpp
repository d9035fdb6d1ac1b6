// A row group whose pictures take more than 2 GiB together: more than Arrow puts into one struct.
// The pictures are a few bytes and zeros, so that the file itself is small.
#include <arrow/api.h>
#include <arrow/io/file.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>

#include "base/error.h"
#include "base/process.h"
#include "data/parquet.h"
#include "io/files.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

constexpr int kRows = 24;
constexpr size_t kPictureBytes = size_t{95} << 20;
static_assert(kRows * kPictureBytes > size_t{2} << 30);  // in one row group
constexpr uint64_t kNeeded = uint64_t{6} << 30;

std::string beginning(int row) {
  return str("picture ", row, ";");
}

std::shared_ptr<arrow::RecordBatch> one_row(const std::shared_ptr<arrow::Schema>& schema, int row) {
  std::string picture = beginning(row);
  picture.resize(kPictureBytes, '\0');
  const auto builder =
      arrow::RecordBatchBuilder::Make(schema, arrow::default_memory_pool()).ValueOrDie();
  auto* cell = builder->GetFieldAs<arrow::StructBuilder>(0);
  EXPECT_TRUE(cell->Append().ok());
  EXPECT_TRUE(static_cast<arrow::BinaryBuilder*>(cell->field_builder(0))->Append(picture).ok());
  EXPECT_TRUE(static_cast<arrow::StringBuilder*>(cell->field_builder(1))->AppendNull().ok());
  EXPECT_TRUE(builder->GetFieldAs<arrow::StringBuilder>(1)->Append(str("edit ", row)).ok());
  return builder->Flush().ValueOrDie();
}

// `typed`: with Arrow's own schema, whose types are then the ones to read into.
void write_one_group(const Path& file, bool typed) {
  const auto picture =
      arrow::struct_({arrow::field("bytes", arrow::binary()), arrow::field("path", arrow::utf8())});
  const auto schema =
      arrow::schema({arrow::field("picture", picture), arrow::field("text", arrow::utf8())});
  parquet::WriterProperties::Builder properties;
  properties.disable_dictionary()->disable_statistics()->compression(parquet::Compression::ZSTD);
  parquet::ArrowWriterProperties::Builder arrow_properties;
  if (typed) arrow_properties.store_schema();
  const auto out = arrow::io::FileOutputStream::Open(file.string()).ValueOrDie();
  const auto writer = parquet::arrow::FileWriter::Open(*schema, arrow::default_memory_pool(), out,
                                                       properties.build(), arrow_properties.build())
                          .ValueOrDie();
  ASSERT_TRUE(writer->NewBufferedRowGroup().ok());
  for (int row = 0; row < kRows; ++row)
    ASSERT_TRUE(writer->WriteRecordBatch(*one_row(schema, row)).ok());
  ASSERT_TRUE(writer->Close().ok());
  ASSERT_TRUE(out->Close().ok());
}

TEST(LargeParquet, ARowGroupOfMoreThanTwoGibibytesIsReadOnce) {
  const TemporaryFolder folder;
  if (available_memory_bytes() < kNeeded || free_disk_bytes(folder.path()) < kNeeded)
    GTEST_SKIP() << "needs 6 GiB of memory and of disk";
  for (const bool typed : {false, true}) {
    const Path file = folder / "large.parquet";
    write_one_group(file, typed);
    const ParquetTable table({file},
                             {{"picture", ColumnKind::kPicture}, {"text", ColumnKind::kText}});
    ASSERT_EQ(table.rows(), kRows);
    for (int row = 0; row < kRows; ++row) {
      const ParquetRow found = table.read(row);
      const Bytes picture = found.picture(0);
      EXPECT_EQ(picture.size(), kPictureBytes);
      const std::string want = beginning(row);
      EXPECT_EQ(std::string(reinterpret_cast<const char*>(picture.data()), want.size()), want);
      EXPECT_EQ(found.text(1), str("edit ", row));
    }
    EXPECT_EQ(table.groups_read(), 1);
  }
}

}  // namespace
}  // namespace icedit
