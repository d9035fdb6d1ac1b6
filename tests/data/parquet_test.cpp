#include "data/parquet.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "base/error.h"
#include "data/parquet_file.h"
#include "golden.h"
#include "io/image.h"
#include "io/temporary_folder.h"
#include "parquet_writer.h"

namespace icedit {
namespace {

const std::vector<Column> kMagicbrush = {{"source_img", ColumnKind::kPicture},
                                         {"target_img", ColumnKind::kPicture},
                                         {"instruction", ColumnKind::kText}};

std::string as_string(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(ParquetTable, ReadsOnlyTheRowGroupsAskedFor) {
  const ParquetTable table({golden::path("dataset/magicbrush.parquet")}, kMagicbrush);
  EXPECT_EQ(table.rows(), 8);  // row groups of 3, 3, 2
  EXPECT_EQ(table.groups_read(), 0);
  EXPECT_EQ(table.read(4).text(2).substr(0, 5), "add 5");
  EXPECT_EQ(table.groups_read(), 1);
  EXPECT_EQ(decode_image(table.read(3).picture(0), "row 3").width, 33);
  EXPECT_EQ(table.groups_read(), 1);
  table.read(7);
  EXPECT_EQ(table.groups_read(), 2);
  size_t bytes = 0;
  for (const int group : {1, 2})
    bytes += ParquetFile(golden::path("dataset/magicbrush.parquet")).read(group, kMagicbrush).bytes;
  EXPECT_GT(bytes, 30'000u);
  EXPECT_THROW(table.read(8), std::out_of_range);
}

TEST(ParquetTable, KeepsNoMoreThanTheLimit) {
  const ParquetTable table({golden::path("dataset/magicbrush.parquet")}, kMagicbrush,
                           /*cache_bytes=*/1);
  const ParquetRow first = table.read(0);
  const std::string before = as_string(first.picture(0));
  table.read(3);
  table.read(6);
  table.read(0);
  table.read(1);
  EXPECT_EQ(table.groups_read(), 4);               // the newest group stays
  EXPECT_EQ(as_string(first.picture(0)), before);  // a row keeps what it needs
}

TEST(ParquetTable, TheOldestGoesFirst) {
  const TemporaryFolder folder;
  write_magicbrush(folder / "a.parquet", 4, {}, 1);
  const size_t one = ParquetFile(folder / "a.parquet").read(0, kMagicbrush).bytes;
  const ParquetTable table({folder / "a.parquet"}, kMagicbrush, 2 * one + one / 2);
  for (const int64_t row : {0, 1, 0, 2, 0}) table.read(row);  // 2 pushes 1 out
  EXPECT_EQ(table.groups_read(), 3);
  table.read(1);
  EXPECT_EQ(table.groups_read(), 4);
}

TEST(ParquetTable, ManyFilesAreOneTable) {
  const TemporaryFolder folder;
  write_magicbrush(folder / "a.parquet", 4);
  write_magicbrush(folder / "b.parquet", 0);
  write_magicbrush(folder / "c.parquet", 5);
  const ParquetTable table({folder / "a.parquet", folder / "b.parquet", folder / "c.parquet"},
                           kMagicbrush);
  EXPECT_EQ(table.rows(), 9);
  EXPECT_EQ(table.read(8).text(2), "edit 4");
  EXPECT_EQ(table.read(8).where(), (folder / "c.parquet").string() + ": row 4");
  EXPECT_EQ(table.where(3), (folder / "a.parquet").string() + ": row 3");
  EXPECT_EQ(table.text_column("instruction")[4], "edit 0");
}

TEST(ParquetTable, ThreadsReadAtOnce) {
  const ParquetTable table(
      {golden::path("dataset/omniedit.parquet")},
      {{"src_img", ColumnKind::kPicture}, {"edited_prompt_list", ColumnKind::kTexts}}, 1);
  std::vector<std::string> pictures;
  for (int64_t row = 0; row < table.rows(); ++row)
    pictures.push_back(as_string(table.read(row).picture(0)));
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < 40; ++i) {
          const int64_t row = (i * (t + 1) + t) % table.rows();
          const ParquetRow found = table.read(row);
          if (as_string(found.picture(0)) != pictures[row] ||
              found.texts(1).size() != size_t(1 + row % 3))
            ++wrong;
        }
      });
  }
  EXPECT_EQ(wrong, 0);
}

TEST(ParquetTable, WritersDifferInTheirTypes) {
  const TemporaryFolder folder;
  for (const auto kind :
       {WrittenColumn::kStruct, WrittenColumn::kBinary, WrittenColumn::kLargeBinary})
    for (const auto text : {WrittenColumn::kString, WrittenColumn::kLargeString}) {
      write_parquet(folder / "x.parquet", {{"picture", kind, {"PNG", std::nullopt}},
                                           {"text", text, {"one", std::nullopt}},
                                           {"texts", WrittenColumn::kList, {"a|b", std::nullopt}}});
      const ParquetTable table({folder / "x.parquet"}, {{"picture", ColumnKind::kPicture},
                                                        {"text", ColumnKind::kText},
                                                        {"texts", ColumnKind::kTexts},
                                                        {"text", ColumnKind::kTexts},
                                                        {"nothing", ColumnKind::kText, true}});
      const ParquetRow row = table.read(0);
      EXPECT_EQ(as_string(row.picture(0)), "PNG");
      EXPECT_EQ(row.text(1), "one");
      EXPECT_EQ(row.texts(2), (std::vector<std::string>{"a", "b"}));
      EXPECT_EQ(row.texts(3), std::vector<std::string>{"one"});
      EXPECT_FALSE(row.has(4));
      const ParquetRow nulls = table.read(1);
      EXPECT_NE(error_of<DataError>([&] {
                  nulls.picture(0);
                }).find("row 1: column 'picture' has no value"),
                std::string::npos);
      EXPECT_THROW(nulls.text(1), DataError);
      EXPECT_THROW(nulls.texts(2), DataError);
    }
}

TEST(ParquetTable, MissingAndMistypedColumnsAreNamed) {
  const Path file = golden::path("dataset/omniedit.parquet");
  const std::string missing = error_of<DataError>([&] { ParquetTable({file}, kMagicbrush); });
  EXPECT_NE(
      missing.find(
          "omniedit.parquet: there is no column 'source_img', there are [omni_edit_id, task, "),
      std::string::npos)
      << missing;
  const std::string mistyped = error_of<DataError>([&] {
    ParquetTable({file}, {{"width", ColumnKind::kPicture}});
  });
  EXPECT_NE(mistyped.find("column 'width' is of type int64, expected pictures"), std::string::npos)
      << mistyped;
  EXPECT_THROW(ParquetTable({file}, {{"edited_prompt_list", ColumnKind::kText}}), DataError);
  EXPECT_THROW(ParquetTable({file}, {{"width", ColumnKind::kTexts}}), DataError);
  EXPECT_THROW(ParquetTable({file}, {{"task", ColumnKind::kPicture}}), DataError);
}

TEST(ParquetTable, WhatIsNoParquetFileIsSaidSo) {
  const TemporaryFolder folder;
  const auto error = [](const Path& file) {
    return error_of<DataError>([&] { ParquetTable({file}, kMagicbrush); });
  };
  EXPECT_NE(error(folder.write("text.parquet", "this is a text")).find("no Parquet file"),
            std::string::npos);
  EXPECT_NE(error(folder.write("empty.parquet", "")).find("no Parquet file"), std::string::npos);
  const std::string whole = read_file(golden::path("dataset/magicbrush.parquet"));
  EXPECT_NE(error(folder.write("cut.parquet", whole.substr(0, whole.size() / 2))), "");
  EXPECT_THROW(ParquetTable({folder / "none.parquet"}, kMagicbrush), NoInputError);
  EXPECT_THROW(ParquetTable({folder.path()}, kMagicbrush), NoInputError);
}

// Whatever is broken in a file, the answer is an Error or the right kind of value.
TEST(ParquetTable, DamagedFilesDoNotCrash) {
  const TemporaryFolder folder;
  write_magicbrush(folder / "good.parquet", 6);
  const std::string good = read_file(folder / "good.parquet");
  uint64_t random = 12345;
  int errors = 0;
  for (int i = 0; i < 300; ++i) {
    std::string bad = good;
    for (int flips = 0; flips < 1 + i % 3; ++flips) {
      random = random * 6364136223846793005 + 1442695040888963407;
      bad[(random >> 33) % bad.size()] ^= char(1 << (random >> 20 & 7));
    }
    const Path file = folder.write("bad.parquet", bad);
    try {
      const ParquetTable table({file}, kMagicbrush);
      for (int64_t row = 0; row < std::min<int64_t>(table.rows(), 10); ++row) {
        const ParquetRow found = table.read(row);
        found.picture(0), found.picture(1), found.text(2);
      }
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 20);
}

TEST(ParquetTable, AFileThatChangesUnderARunIsNoticed) {
  const TemporaryFolder folder;
  write_magicbrush(folder / "a.parquet", 6);
  const ParquetTable table({folder / "a.parquet"}, kMagicbrush);
  write_magicbrush(folder / "a.parquet", 7);
  EXPECT_NE(error_of<DataError>([&] { table.read(0); }).find("has changed"), std::string::npos);
  write_magicbrush(folder / "a.parquet", 6);
  EXPECT_EQ(table.read(0).text(2), "edit 0");  // and tried again
}

// Other rows of a group that cannot be decoded say so too, and do not read it again.
TEST(ParquetTable, ADamagedGroupIsReadOnce) {
  const TemporaryFolder folder;
  write_magicbrush(folder / "good.parquet", 6);
  std::string bytes = read_file(folder / "good.parquet");
  std::fill_n(bytes.begin() + 4, 100, '\xff');  // the first page's header
  const ParquetTable table({folder.write("bad.parquet", bytes)}, kMagicbrush);
  for (const int64_t row : {0, 1, 0, 2})
    EXPECT_NE(error_of<DataError>([&] { table.read(row); }).find("damaged"), std::string::npos);
  EXPECT_EQ(table.groups_read(), 1);
  EXPECT_EQ(table.read(3).text(2), "edit 3");
}

// A row group comes in pieces of at most 1000 rows, since Arrow makes no struct of 2 GiB.
TEST(ParquetTable, AGroupOfManyPiecesIsOneGroup) {
  const TemporaryFolder folder;
  WrittenColumn pictures = {"picture", WrittenColumn::kStruct, {}};
  WrittenColumn texts = {"texts", WrittenColumn::kList, {}};
  for (int row = 0; row < 2500; ++row) {
    pictures.cells.push_back(str("picture ", row));
    texts.cells.push_back(str("a ", row, "|b"));
  }
  write_parquet(folder / "x.parquet", {pictures, texts}, 2500);
  const ParquetTable table({folder / "x.parquet"},
                           {{"picture", ColumnKind::kPicture}, {"texts", ColumnKind::kTexts}});
  for (const int row : {0, 999, 1000, 1001, 2499}) {
    EXPECT_EQ(as_string(table.read(row).picture(0)), str("picture ", row));
    EXPECT_EQ(table.read(row).texts(1), (std::vector<std::string>{str("a ", row), "b"}));
  }
  EXPECT_EQ(table.groups_read(), 1);
}

TEST(ParquetTable, PicturesMayBeFiles) {
  const TemporaryFolder folder;
  const Path absolute = folder.write("elsewhere/b.png", "the absolute one");
  folder.write("data/files/a.png", "the relative one");
  folder.write("data/files/e\u0301.png", "decomposed");
  folder.write("data/files/\u00fc.png", "composed");
  write_parquet(folder / "data/x.parquet",
                {{"picture",
                  WrittenColumn::kImages,
                  {"@files/a.png", "bytes", "@" + absolute.string(), "@files/none.png",
                   std::nullopt, "@files/\u00e9.png", "@files/u\u0308.png"}}});
  const ParquetTable table({folder / "data/x.parquet"}, {{"picture", ColumnKind::kPicture}});
  EXPECT_EQ(as_string(table.read(0).picture(0)), "the relative one");
  EXPECT_EQ(as_string(table.read(1).picture(0)), "bytes");
  const ParquetRow row = table.read(2);
  EXPECT_EQ(as_string(ParquetRow(row).picture(0)), "the absolute one");
  const std::string error = error_of<NoInputError>([&] { table.read(3); });
  for (const std::string& part :
       {std::string("x.parquet: row 3: column 'picture' has the path 'files/none.png'"),
        (folder / "data/files/none.png").string(), std::string("embed_table_storage")})
    EXPECT_NE(error.find(part), std::string::npos) << error;
  EXPECT_NE(error_of<DataError>([&] { table.read(4).picture(0); }).find("has no value"),
            std::string::npos);
  EXPECT_EQ(as_string(table.read(5).picture(0)), "decomposed");
  EXPECT_EQ(as_string(table.read(6).picture(0)), "composed");

  write_parquet(folder / "data/y.parquet",
                {{"picture", WrittenColumn::kPaths, {"files/a.png", std::nullopt}}});
  const ParquetTable paths({folder / "data/y.parquet"}, {{"picture", ColumnKind::kPicture}});
  EXPECT_EQ(as_string(paths.read(0).picture(0)), "the relative one");
  EXPECT_THROW(paths.read(1).picture(0), DataError);
}

// `task` may be of any type, or in some of the files alone.
TEST(ParquetTable, WhatIsNotNeededRefusesNoFile) {
  const TemporaryFolder folder;
  const WrittenColumn text = {"text", WrittenColumn::kString, {"a", "b"}};
  const std::vector<std::pair<const char*, std::vector<WrittenColumn>>> others = {
      {"null", {{"task", WrittenColumn::kNull, {std::nullopt, std::nullopt}}}},
      {"int", {{"task", WrittenColumn::kInt64, {"1", "2"}}}},
      {"list", {{"task", WrittenColumn::kList, {"x", "y"}}}},
      {"twice",
       {{"task", WrittenColumn::kString, {"x", "y"}},
        {"task", WrittenColumn::kString, {"x", "y"}}}},
      {"none", {}}};
  const std::vector<Column> columns = {{"text", ColumnKind::kText},
                                       {"task", ColumnKind::kText, /*optional=*/true}};
  write_parquet(folder / "good.parquet",
                {text, {"task", WrittenColumn::kString, {"swap", std::nullopt}}});
  for (auto [name, written] : others) {
    written.push_back(text);
    const Path file = folder / str(name, ".parquet");
    write_parquet(file, written);
    const ParquetTable table({file}, columns);
    EXPECT_EQ(table.read(1).text(0), "b") << name;
    EXPECT_FALSE(table.read(1).has(1)) << name;
    EXPECT_TRUE(table.text_column("task").empty()) << name;
    EXPECT_EQ(ParquetTable({folder / "good.parquet", file}, columns).text_column("task"),
              (std::vector<std::string>{"swap", "", "", ""}))
        << name;
  }
  const std::string twice = error_of<DataError>([&] {
    ParquetTable({folder / "twice.parquet"}, {{"task", ColumnKind::kText}});
  });
  EXPECT_NE(twice.find("there are 2 columns 'task'"), std::string::npos) << twice;
}

}  // namespace
}  // namespace icedit
