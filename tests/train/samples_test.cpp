#include "train/samples.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "train/bitmap_font.h"

namespace icedit {
namespace {

Image plain(int width, int height, uint8_t value, int channels = 3) {
  Image image(width, height, channels);
  std::fill(image.pixels.begin(), image.pixels.end(), value);
  return image;
}

int64_t count_of(const Image& image, uint8_t value) {
  return std::count(image.pixels.begin(), image.pixels.end(), value);
}

TEST(Samples, EveryPictureIsWholeInTheGrid) {
  const Image grid =
      sample_grid({"source", "target", "edit"},
                  {{"make it winter", {plain(64, 48, 100), plain(64, 48, 150), plain(64, 48, 200)}},
                   {"a mask", {plain(32, 48, 101), plain(64, 20, 151, 1), Image()}}});
  EXPECT_EQ(grid.width, 4 * 4 + 3 * 64);
  EXPECT_EQ(count_of(grid, 100), 64 * 48 * 3);
  EXPECT_EQ(count_of(grid, 150), 64 * 48 * 3);
  EXPECT_EQ(count_of(grid, 200), 64 * 48 * 3);
  EXPECT_EQ(count_of(grid, 101), 32 * 48 * 3);
  EXPECT_EQ(count_of(grid, 151), 64 * 20 * 3);
  EXPECT_GT(count_of(grid, 30), 300);  // letters
}

TEST(Samples, CaptionsNeverLeaveThePicture) {
  const std::string all =
      "The quick brown fox, 0123456789; \"really\"? (yes) \xc3\xa9 \xe2\x82\xac";
  std::string longer;
  for (int i = 0; i < 40; ++i) longer += all;
  for (const int side : {1, 7, 16, 600}) {
    const Image grid = sample_grid({longer, ""}, {{longer, {plain(side, side, 99)}}, {"", {}}});
    EXPECT_EQ(count_of(grid, 99), int64_t(side) * side * 3);
  }
  EXPECT_THROW(sample_grid({"a"}, {}), std::invalid_argument);
}

TEST(Samples, LinesAreBrokenBetweenWords) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(broken_text("make her hair dark green", 14, 2), (Lines{"make her hair", "dark green"}));
  EXPECT_EQ(broken_text("make her hair dark green", 14, 1), (Lines{"make her ha..."}));
  EXPECT_EQ(broken_text("abcdefghij", 4, 3), (Lines{"abcd", "efgh", "ij"}));
  EXPECT_EQ(broken_text("", 4, 3), Lines{});
  EXPECT_EQ(broken_text("    ", 2, 3), Lines{"    "});
}

TEST(Samples, TheLettersAreReadable) {
  Image paper = plain(10, 9, 255, 1);
  draw_text(paper, 0, 0, "Lg");
  std::string drawn;
  for (int y = 0; y < paper.height; ++y) {
    for (int x = 0; x < paper.width; ++x) drawn += *paper.at(x, y) == 30 ? '#' : '.';
    drawn += '\n';
  }
  EXPECT_EQ(drawn,
            "#.........\n"
            "#.........\n"
            "#......###\n"
            "#.....#..#\n"
            "#.....#..#\n"
            "#.....#..#\n"
            "####...###\n"
            ".........#\n"
            ".......##.\n");
}

}  // namespace
}  // namespace icedit
