// Figures of pictures made by hand, whose answers can be worked out on paper.
#include "eval/metrics.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "eval/sheet.h"
#include "eval/summary.h"
#include "io/resize.h"

namespace icedit {
namespace {

Image grey(int value, int width = 10, int height = 10) {
  Image image(width, height);
  std::fill(image.pixels.begin(), image.pixels.end(), uint8_t(value));
  return image;
}

// `image` with `value` in this channel of its first `columns`.
Image painted(Image image, int columns, int channel, int value) {
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < columns; ++x) image.at(x, y)[channel] = uint8_t(value);
  return image;
}

TEST(Metrics, DifferencesOfConstantPictures) {
  const PairMetrics m = compare(grey(51), grey(0));
  EXPECT_NEAR(m.l1, 0.2, 1e-12);
  EXPECT_NEAR(m.l2, 0.04, 1e-12);
  EXPECT_NEAR(m.psnr, 10 * std::log10(1 / 0.04), 1e-9);
  const PairMetrics far = compare(grey(0), grey(255));
  EXPECT_EQ(far.l1, 1);
  EXPECT_EQ(far.l2, 1);
  EXPECT_EQ(far.psnr, 0);
}

TEST(Metrics, AMeanOverPixelsAndChannels) {
  // One channel of three, in three of ten columns, by 0.4.
  const PairMetrics m = compare(painted(grey(0), 3, 1, 102), grey(0));
  EXPECT_NEAR(m.l1, 0.04, 1e-12);
  EXPECT_NEAR(m.l2, 0.016, 1e-12);
}

TEST(Metrics, EqualPicturesGetTheMostPsnr) {
  EXPECT_EQ(compare(grey(7), grey(7)).l1, 0);
  EXPECT_EQ(compare(grey(7), grey(7)).psnr, 100);
}

TEST(Metrics, TheResultIsBroughtToTheTargetsSizeByBicubic) {
  const Image small = painted(grey(40, 5, 4), 2, 0, 200), target = grey(90, 12, 10);
  const PairMetrics got = compare(small, target);
  const PairMetrics want = compare(resize(small, 12, 10, Filter::kBicubic), target);
  EXPECT_EQ(got.l1, want.l1);
  EXPECT_EQ(got.l2, want.l2);
  EXPECT_NEAR(compare(grey(51, 3, 7), grey(0)).l1, 0.2, 1e-12);
}

// The source is 100 everywhere, the target's first four columns are 200 in red.
class LocalEdit : public ::testing::Test {
 protected:
  Judgement judge_result(const Image& result) const {
    return judge(source, result, target, EditKind::kLocal);
  }
  const Image source = grey(100), target = painted(source, 4, 0, 200);
};

TEST_F(LocalEdit, TheTargetSucceedsAndTheSourceDoesNot) {
  EXPECT_EQ(judge_result(target).change_left, 0);
  EXPECT_EQ(judge_result(target).success, true);
  EXPECT_EQ(judge_result(source).change_left, 1);
  EXPECT_EQ(judge_result(source).spill, 0);
  EXPECT_EQ(judge_result(source).success, false);
}

TEST_F(LocalEdit, MoreThanHalfOfTheChangeMustBeMade) {
  const Judgement above = judge_result(painted(source, 4, 0, 151));
  EXPECT_NEAR(above.change_left, 0.49, 1e-12);
  EXPECT_EQ(above.success, true);
  const Judgement half = judge_result(painted(source, 4, 0, 150));
  EXPECT_EQ(half.change_left, 0.5);
  EXPECT_EQ(half.success, false);
}

TEST_F(LocalEdit, TheRestMustStay) {
  const auto with_rest = [](int value) {
    Image result = grey(value);
    for (int c = 0; c < 3; ++c) result = painted(std::move(result), 4, c, c == 0 ? 200 : 100);
    return result;
  };
  EXPECT_NEAR(judge_result(with_rest(114)).spill, 14, 1e-12);
  EXPECT_EQ(judge_result(with_rest(114)).success, true);
  EXPECT_EQ(judge_result(with_rest(85)).spill, 15);
  EXPECT_EQ(judge_result(with_rest(85)).success, false);
}

TEST_F(LocalEdit, ChangedMeansByMoreThanTwentyInSomeChannel) {
  const auto spill_where_red_is = [&](int red) {
    return judge(source, target, painted(target, 4, 0, red), EditKind::kLocal);
  };
  // 120: nothing should change, so that the target of before spills into 4 of 10 columns.
  EXPECT_NEAR(spill_where_red_is(120).spill, 0.4 * 100 / 3, 1e-9);
  EXPECT_EQ(spill_where_red_is(120).success, std::nullopt);
  EXPECT_EQ(spill_where_red_is(121).spill, 0);
  EXPECT_TRUE(spill_where_red_is(121).success.has_value());
}

TEST_F(LocalEdit, PicturesOfOtherSizesAreBroughtToTheTargets) {
  const Judgement judgement =
      judge(grey(100, 20, 30), resize(target, 40, 20, Filter::kNearest), target, EditKind::kLocal);
  EXPECT_LT(judgement.change_left, 0.2);
  EXPECT_EQ(judgement.success, true);
}

TEST(Style, CountsEveryPixel) {
  const auto left = [](int value) {
    return judge(grey(100), grey(value), grey(200), EditKind::kStyle);
  };
  EXPECT_NEAR(left(161).change_left, 0.39, 1e-12);
  EXPECT_EQ(left(161).success, true);
  EXPECT_EQ(left(160).success, false);
  // Also those that differ by less than an edit of a part would.
  EXPECT_EQ(judge(grey(100), grey(104), grey(110), EditKind::kStyle).success, false);
  EXPECT_EQ(judge(grey(100), grey(108), grey(110), EditKind::kStyle).success, true);
  EXPECT_EQ(judge(grey(100), grey(108), grey(100), EditKind::kStyle).success, std::nullopt);
}

TEST(Style, IsToldByTheTasksName) {
  EXPECT_EQ(kind_of("style"), EditKind::kStyle);
  EXPECT_EQ(kind_of("style_fog"), EditKind::kStyle);
  EXPECT_EQ(kind_of("restyle"), EditKind::kLocal);
  EXPECT_EQ(kind_of(""), EditKind::kLocal);
}

RowResult result_of(const std::string& task, double l1, std::optional<bool> success) {
  RowResult r;
  r.task = task;
  r.metrics = {l1, l1 * l1, 20 * l1};
  r.judgement.success = success;
  return r;
}

TEST(Summary, MeansAndCountsPerTaskAndInAll) {
  RowResult broken = result_of("", 0, std::nullopt);
  broken.error = "x.parquet: row 4: no picture";
  const Summary summary =
      summarise({result_of("swap", 0.1, true), result_of("add", 0.2, false), broken,
                 result_of("swap", 0.3, std::nullopt), result_of("", 0.4, true)});
  ASSERT_EQ(summary.tasks.size(), 2u);
  EXPECT_EQ(summary.tasks[0].task, "swap");
  EXPECT_EQ(summary.tasks[0].rows, 2);
  EXPECT_EQ(summary.tasks[0].judged, 1);
  EXPECT_EQ(summary.tasks[0].successes, 1);
  EXPECT_NEAR(summary.tasks[0].l1, 0.2, 1e-12);
  EXPECT_NEAR(summary.tasks[0].l2, 0.05, 1e-12);
  EXPECT_NEAR(summary.tasks[0].psnr, 4, 1e-12);
  EXPECT_EQ(summary.tasks[1].task, "add");
  EXPECT_EQ(summary.total.rows, 4);
  EXPECT_EQ(summary.total.judged, 3);
  EXPECT_EQ(summary.total.successes, 2);
  EXPECT_NEAR(summary.total.l1, 0.25, 1e-12);
  ASSERT_EQ(summary.unreadable.size(), 1u);

  const std::string table = table_text(summary);
  for (const char* part : {"swap", "add", "all", "2 / 3", "66.7 %", broken.error.c_str()})
    EXPECT_NE(table.find(part), std::string::npos) << part << " in\n" << table;
  EXPECT_NE(summary_json(summary).find("\"success_rate\": 1.0"), std::string::npos);
}

TEST(Summary, ATaskIsOneLineOfTheTable) {
  const std::string table = table_text(summarise({result_of("two\nlines\t", 0.1, true)}));
  EXPECT_NE(table.find("\ntwo lines "), std::string::npos) << table;
}

TEST(Sheet, FramesTellSuccess) {
  const Image picture = grey(10, 48, 96);
  const std::vector<std::optional<bool>> outcomes = {true, false, std::nullopt, true, false};
  std::vector<SheetEntry> entries;
  for (const auto& success : outcomes) entries.push_back({picture, picture, picture, success});
  const Image sheet = contact_sheet(entries);
  const int cell_width = (sheet.width - 6) / kSheetColumns, cell_height = (sheet.height - 6) / 2;
  const auto at_corner = [&](int i) {
    const uint8_t* p =
        sheet.at(6 + i % kSheetColumns * cell_width, 6 + i / kSheetColumns * cell_height);
    return std::array<int, 3>{p[0], p[1], p[2]};
  };
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const auto [red, green, blue] = at_corner(int(i));
    if (!outcomes[i]) {
      EXPECT_TRUE(red == green && green == blue) << i;
    } else {
      EXPECT_EQ(green > red + 50, *outcomes[i]) << i;
      EXPECT_EQ(red > green + 50, !*outcomes[i]) << i;
    }
  }
  EXPECT_EQ(contact_sheet({}).width, 0);
  EXPECT_EQ(contact_sheet({entries[0]}).width, cell_width + 6);
}

}  // namespace
}  // namespace icedit
