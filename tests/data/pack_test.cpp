#include "data/pack.h"

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <gtest/gtest.h>
#include <parquet/arrow/reader.h>

#include "base/error.h"
#include "data/dataset.h"
#include "data/parquet.h"
#include "io/temporary_folder.h"
#include "parquet_writer.h"

namespace icedit {
namespace {

constexpr size_t kCache = size_t{1} << 20;

// NAME_source.png, NAME_target.png, NAME.txt for every name, with different pictures.
void write_pairs(const TemporaryFolder& folder, const std::vector<std::string>& names) {
  int number = 0;
  for (const std::string& name : names) {
    folder.write("pairs/" + name + "_source.png", numbered_png(number++));
    folder.write("pairs/" + name + "_target.png", numbered_png(number++));
    folder.write("pairs/" + name + ".txt", "edit " + name + "\n");
  }
}

std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Pack, AFolderComesBackByteForByte) {
  const TemporaryFolder folder;
  write_pairs(folder, {"a", "b", "c"});
  const auto rows = folder_rows((folder / "pairs").string());
  const PackResult result = pack_rows(*rows, folder / "x.parquet", 2);
  EXPECT_EQ(result.rows, 3);
  EXPECT_TRUE(result.unreadable.empty());
  const auto packed = magicbrush_rows({folder / "x.parquet"}, kCache);
  ASSERT_EQ(packed->size(), 3);
  for (int64_t row = 0; row < 3; ++row) {
    const EncodedSample want = rows->read(row), got = packed->read(row);
    EXPECT_EQ(text_of(got.source), text_of(want.source));
    EXPECT_EQ(text_of(got.target), text_of(want.target));
    EXPECT_EQ(got.instructions, want.instructions);
    EXPECT_EQ(got.task, "");
  }
  const ParquetTable ids({folder / "x.parquet"}, {{"img_id", ColumnKind::kText}});
  EXPECT_EQ(ids.read(1).text(0), "b");
}

TEST(Pack, TasksAndSeveralInstructionsOfAList) {
  const TemporaryFolder folder;
  for (const char* name : {"a.png", "b.png"})
    folder.write(std::string("list/in/") + name, numbered_png(name[0]));
  folder.write("list/pairs.jsonl",
               R"({"source": "in/a.png", "target": "in/b.png", "instruction": ["x", "y"]})"
               "\n"
               R"({"source": "in/b.png", "target": "in/a.png", "instruction": "z", "task": "swap"})"
               "\n");
  const auto rows = folder_rows((folder / "list").string());
  EXPECT_EQ(pack_rows(*rows, folder / "x.parquet", 1).rows, 3);
  const auto packed = magicbrush_rows({folder / "x.parquet"}, kCache);
  EXPECT_EQ(packed->tasks(), (std::vector<std::string>{"", "", "swap"}));
  EXPECT_EQ(packed->read(0).instructions, std::vector<std::string>{"x"});
  EXPECT_EQ(packed->read(1).instructions, std::vector<std::string>{"y"});
  EXPECT_EQ(text_of(packed->read(1).source), text_of(rows->read(0).source));
  EXPECT_EQ(packed->read(2).instructions, std::vector<std::string>{"z"});
  const ParquetTable ids({folder / "x.parquet"}, {{"img_id", ColumnKind::kText}});
  EXPECT_EQ(ids.read(0).text(0), "in/a");
}

// What datasets.load_dataset and pyarrow go by.
TEST(Pack, TheSchemaIsThatOfThePublishedSet) {
  const TemporaryFolder folder;
  write_pairs(folder, {"a"});
  pack_rows(*folder_rows((folder / "pairs").string()), folder / "x.parquet", 1);
  const auto file = arrow::io::ReadableFile::Open((folder / "x.parquet").string()).ValueOrDie();
  const auto reader = parquet::arrow::OpenFile(file, arrow::default_memory_pool()).ValueOrDie();
  std::shared_ptr<arrow::Schema> schema;
  ASSERT_TRUE(reader->GetSchema(&schema).ok());
  EXPECT_EQ(schema->field_names(), (std::vector<std::string>{"img_id", "turn_index", "source_img",
                                                             "instruction", "target_img"}));
  EXPECT_EQ(schema->field(2)->type()->ToString(), "struct<bytes: binary, path: string>");
  const auto table = reader->ReadTable().ValueOrDie();
  EXPECT_EQ(table->GetColumnByName("turn_index")->GetScalar(0).ValueOrDie()->ToString(), "1");
  ASSERT_TRUE(schema->metadata());
  const std::string features = schema->metadata()->Get("huggingface").ValueOrDie();
  EXPECT_NE(features.find(R"("source_img":{"_type":"Image"})"), std::string::npos) << features;
  EXPECT_NE(features.find(R"("turn_index":{"_type":"Value","dtype":"int32"})"), std::string::npos)
      << features;
}

TEST(Pack, RowGroupsAreBounded) {
  const TemporaryFolder folder;
  std::vector<std::string> names;
  for (int i = 0; i < 101; ++i) names.push_back("p" + std::to_string(1000 + i));
  write_pairs(folder, names);
  EXPECT_EQ(pack_rows(*folder_rows((folder / "pairs").string()), folder / "x.parquet", 2).rows,
            101);
  const ParquetTable table({folder / "x.parquet"}, {{"instruction", ColumnKind::kText}});
  EXPECT_EQ(table.read(99).text(0), "edit p1099");
  EXPECT_EQ(table.groups_read(), 1);
  EXPECT_EQ(table.read(100).text(0), "edit p1100");
  EXPECT_EQ(table.groups_read(), 2);
}

TEST(Pack, UnreadableRowsAreLeftOutAndNamed) {
  const TemporaryFolder folder;
  write_pairs(folder, {"a", "b", "c", "d"});
  folder.write("pairs/b_target.png", "no picture");
  folder.write("pairs/c.txt", "\xff\xfe");
  const auto rows = folder_rows((folder / "pairs").string());
  const PackResult result = pack_rows(*rows, folder / "x.parquet", 2);
  EXPECT_EQ(result.rows, 2);
  ASSERT_EQ(result.unreadable.size(), 2u);
  EXPECT_NE(result.unreadable[0].reason.find("b, target"), std::string::npos);
  EXPECT_NE(result.unreadable[1].reason.find("UTF-8"), std::string::npos);
  EXPECT_EQ(magicbrush_rows({folder / "x.parquet"}, kCache)->read(1).instructions[0], "edit d");
}

TEST(Pack, NothingIsLeftWhereItFails) {
  const TemporaryFolder folder;
  write_pairs(folder, {"a"});
  folder.write("pairs/a_source.png", "no picture");
  const auto rows = folder_rows((folder / "pairs").string());
  EXPECT_THROW(pack_rows(*rows, folder / "out/x.parquet", 1), DataError);
  EXPECT_TRUE(std::filesystem::is_empty(folder / "out"));
  if (!std::filesystem::exists("/dev/full")) return;
  const TemporaryFolder whole;
  write_pairs(whole, {"a"});
  const std::string error = error_of<IoError>(
      [&] { pack_rows(*folder_rows((whole / "pairs").string()), "/dev/full", 1); });
  EXPECT_NE(error.find("/dev/full: writing failed"), std::string::npos) << error;
}

}  // namespace
}  // namespace icedit
