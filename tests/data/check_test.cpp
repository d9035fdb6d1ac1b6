#include "data/check.h"

#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.h"
#include "data/scan.h"
#include "io/temporary_folder.h"
#include "parquet_writer.h"

namespace icedit {
namespace {

// Row by row: good; broken; source = target; sizes differ; as row 0; empty instruction; the same
// pictures as row 0 with other words.
EditDataset dirty_dataset(const TemporaryFolder& folder) {
  const std::string a = numbered_png(1), b = numbered_png(2), wide = numbered_png(3, 48, 32);
  write_parquet(folder / "dirty.parquet",
                {{"source_img", WrittenColumn::kStruct, {a, "none", b, a, a, b, a}},
                 {"target_img", WrittenColumn::kStruct, {b, b, b, wide, b, a, b}},
                 {"instruction", WrittenColumn::kString, {"x", "x", "x", "x", "x", " \n", "y"}},
                 {"task", WrittenColumn::kString, {"t", "t", "u", "t", "t", "u", "t"}}});
  DatasetConfig config;
  config.type = DatasetType::kEdit;
  config.path = {(folder / "dirty.parquet").string()};
  return EditDataset(config);
}

void expect_only(const Findings& findings, int64_t row, const std::string& reason) {
  ASSERT_EQ(findings.count, 1) << reason;
  ASSERT_EQ(findings.rows.size(), 1u);
  EXPECT_TRUE(findings.rows[0].where.ends_with("row " + std::to_string(row)))
      << findings.rows[0].where;
  EXPECT_NE(findings.rows[0].reason.find(reason), std::string::npos) << findings.rows[0].reason;
}

TEST(Check, FindsEveryKindOnce) {
  const TemporaryFolder folder;
  const EditDataset dataset = dirty_dataset(folder);
  for (const int threads : {1, 3}) {
    const DataReport report = check_dataset(dataset, threads);
    EXPECT_EQ(report.rows, 7);
    expect_only(report.unreadable, 1, "source");
    expect_only(report.identical, 2, "same");
    expect_only(report.misaligned, 3, "the source is 32x32, the target 48x32");
    expect_only(report.duplicates, 4, "row 0");
    expect_only(report.empty, 5, "empty");
    EXPECT_EQ(report.sizes.at({32, 32}), 6);
    EXPECT_EQ(report.tasks, (std::vector<std::pair<std::string, int64_t>>{{"t", 5}, {"u", 2}}));
  }
}

TEST(Check, PixelsCountAndNotBytes) {
  const TemporaryFolder folder;
  Image image(32, 32);
  std::fill(image.pixels.begin(), image.pixels.end(), uint8_t(7));
  write_parquet(folder / "x.parquet",
                {{"source_img", WrittenColumn::kStruct, {encode_image(image, ImageFormat::kPng)}},
                 {"target_img",
                  WrittenColumn::kStruct,
                  {encode_image(image, ImageFormat::kPng, {{"note", "other bytes"}})}},
                 {"instruction", WrittenColumn::kString, {"x"}}});
  DatasetConfig config;
  config.type = DatasetType::kEdit;
  config.path = {(folder / "x.parquet").string()};
  EXPECT_EQ(check_dataset(EditDataset(config), 1).identical.count, 1);
}

TEST(Check, TextAndJsonSayTheSame) {
  const TemporaryFolder folder;
  const DataReport report = check_dataset(dirty_dataset(folder), 2);
  const std::string text = report_text(report);
  for (const char* part : {"7 rows", "cannot be read", "row 1", "48x32", "the same as", "32x32"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  const auto json = nlohmann::json::parse(report_json(report));
  EXPECT_EQ(json["rows"], 7);
  for (const char* key :
       {"unreadable", "identical", "misaligned", "duplicates", "empty_instructions"})
    EXPECT_EQ(json[key]["count"], 1) << key;
  EXPECT_NE(json["unreadable"]["rows"][0]["row"].get<std::string>().find("row 1"),
            std::string::npos);
  EXPECT_EQ(json["sizes"]["32x32"], 6);
  EXPECT_EQ(json["tasks"]["u"], 2);
}

// What training would be given is what the check sees.
TEST(Check, TextAndPicturesThatCannotBeReadAreFound) {
  const TemporaryFolder folder;
  const std::string a = numbered_png(1), b = numbered_png(2);
  write_parquet(folder / "x.parquet",
                {{"source_img", WrittenColumn::kImages, {a, a, "@none.png", "@a.png"}},
                 {"target_img", WrittenColumn::kImages, {b, b, b, b}},
                 {"instruction", WrittenColumn::kString, {"x", "caf\xe9", "y", "z"}},
                 {"task", WrittenColumn::kString, {"new\nline", "new\nline", "t", "t"}}});
  folder.write("a.png", a);
  DatasetConfig config;
  config.type = DatasetType::kEdit;
  config.path = {(folder / "x.parquet").string()};
  const DataReport report = check_dataset(EditDataset(config), 1);
  ASSERT_EQ(report.unreadable.rows.size(), 2u);
  EXPECT_NE(report.unreadable.rows[0].reason.find("no valid UTF-8"), std::string::npos);
  EXPECT_NE(report.unreadable.rows[1].reason.find("'none.png'"), std::string::npos);
  EXPECT_NE(report_text(report).find("\n  new line  "), std::string::npos) << report_text(report);
  EXPECT_EQ(nlohmann::json::parse(report_json(report))["tasks"]["new\nline"], 2);
}

TEST(Check, ListsAreBounded) {
  Findings findings;
  for (int i = 0; i < 1500; ++i) findings.add("x: row " + std::to_string(i), "y");
  EXPECT_EQ(findings.count, 1500);
  EXPECT_EQ(findings.rows.size(), Findings::kListed);
  DataReport report;
  report.unreadable = findings;
  EXPECT_NE(report_text(report, 2).find("and 1498 more"), std::string::npos);
}

TEST(Scan, TakesInOrderAndNeverRunsFarAhead) {
  std::atomic<int64_t> begun = 0;
  std::vector<int64_t> taken;
  scan_rows(
      50, 3, [&](int64_t row) { return ++begun, 2 * row; },
      [&](int64_t row, int64_t result) {
        EXPECT_EQ(result, 2 * row);
        EXPECT_LE(begun, row + 3);
        taken.push_back(row);
      });
  std::vector<int64_t> want(50);
  std::iota(want.begin(), want.end(), 0);
  EXPECT_EQ(taken, want);
}

TEST(Scan, ErrorsOfTheWorkComeOut) {
  const auto fail_at_3 = [](int64_t row) {
    if (row == 3) throw DataError("row 3");
    return row;
  };
  int64_t taken = 0;
  EXPECT_THROW(scan_rows(9, 2, fail_at_3, [&](int64_t, int64_t) { ++taken; }), DataError);
  EXPECT_EQ(taken, 3);
}

}  // namespace
}  // namespace icedit
