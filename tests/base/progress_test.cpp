#include "base/progress.h"

#include <gtest/gtest.h>

namespace icedit {
namespace {

TEST(Progress, Durations) {
  EXPECT_EQ(duration_text(0), "0:00");
  EXPECT_EQ(duration_text(75.4), "1:15");
  EXPECT_EQ(duration_text(3700), "1:01:40");
}

TEST(Progress, Sizes) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
  EXPECT_EQ(bytes_text(24.0 * 1024 * 1024 * 1024), "24.0 GiB");
}

TEST(Progress, PlainLinesComeRarelyButTheLastAlways) {
  testing::internal::CaptureStderr();
  {
    Progress progress("counting", 1000, "sheep");
    for (int i = 1; i <= 1000; ++i) progress.update(i);
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.substr(0, 18), "counting 1000/1000");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
}

TEST(Progress, ABeginningIsSaidAtOnce) {
  testing::internal::CaptureStderr();
  Progress progress("counting", 1000, "sheep");
  progress.update(0);
  progress.update(1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "counting 0/1000\n");
}

}  // namespace
}  // namespace icedit
