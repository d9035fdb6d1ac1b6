#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/error.h"

namespace icedit {
namespace {

TEST(RateSchedule, Constant) {
  const RateSchedule schedule(RateCurve::kConstant, 0, -1);
  EXPECT_EQ(schedule.factor(0), 1);
  EXPECT_EQ(schedule.factor(1'000'000), 1);
}

TEST(RateSchedule, WarmUpIsLinearFromZero) {
  const RateSchedule schedule(RateCurve::kConstant, 4, -1);
  const double want[] = {0, 0.25, 0.5, 0.75, 1, 1};
  for (int step = 0; step < 6; ++step) EXPECT_EQ(schedule.factor(step), want[step]) << step;
}

TEST(RateSchedule, CosineEndsAtZeroAndStaysThere) {
  const RateSchedule schedule(RateCurve::kCosine, 2, 10);
  EXPECT_EQ(schedule.factor(0), 0);
  EXPECT_EQ(schedule.factor(1), 0.5);
  EXPECT_EQ(schedule.factor(2), 1);
  EXPECT_DOUBLE_EQ(schedule.factor(6), 0.5);
  EXPECT_DOUBLE_EQ(schedule.factor(8), 0.5 * (1 + std::cos(std::numbers::pi * 0.75)));
  for (int step = 3; step <= 10; ++step)
    EXPECT_LT(schedule.factor(step), schedule.factor(step - 1));
  EXPECT_EQ(schedule.factor(10), 0);
  EXPECT_EQ(schedule.factor(11), 0);
}

TEST(RateSchedule, WrongSettingsAreErrors) {
  EXPECT_THROW(RateSchedule(RateCurve::kCosine, 0, -1), UsageError);
  EXPECT_THROW(RateSchedule(RateCurve::kCosine, 10, 10), UsageError);
}

}  // namespace
}  // namespace icedit
