#include "edit/speed.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace icedit {
namespace {

TEST(Speed, OfRoundedLevels) {
  // Of 8-bit pictures that differ by d < 1 before they are rounded, a share d of the pixels differs
  // by one.
  const double small = 0.01 * std::sqrt(2 / M_PI);  // mean |d| of a normal distribution
  EXPECT_NEAR(decibels_of(0.01), 10 * std::log10(255.0 * 255.0 / small), 0.5);
  EXPECT_NEAR(decibels_of(10), 20 * std::log10(255.0 / 10), 0.1);
  EXPECT_GT(decibels_of(0.1), decibels_of(0.2));
}

TEST(Speed, WhichDecibelsAreWanted) {
  EXPECT_EQ(wanted_decibels({}), std::nullopt);
  EXPECT_GT(wanted_decibels({Speed::kBalanced, {}, {}}), wanted_decibels({Speed::kFast, {}, {}}));
  EXPECT_EQ(wanted_decibels({Speed::kFast, 48.5, {}}), 48.5);
  EXPECT_EQ(wanted_decibels({Speed::kExact, 48.5, {}}), 48.5);
  EXPECT_EQ(wanted_decibels({Speed::kExact, {}, 11}), std::nullopt);
}

TEST(Speed, TheLimitIsTheErrorThatHasTheseDecibels) {
  EXPECT_FALSE(call_limit({}, 10).any());
  EXPECT_EQ(call_limit({Speed::kExact, {}, 11}, 10), (CallLimit{11, {}}));
  const CallLimit limit = call_limit({Speed::kExact, 50.0, {}}, 10);
  EXPECT_FALSE(limit.calls);
  EXPECT_NEAR(*speed_figures(5, 28, *limit.most_error, 10).decibels, 50, 1e-4);
  EXPECT_EQ(speed_figures(28, 28, 0, 10).decibels, std::nullopt);
}

TEST(Speed, WhatDoesNotGoTogether) {
  check_speed({Speed::kFast, 50.0, {}}, Solver::kEuler, 8);
  check_speed({Speed::kExact, {}, 8}, Solver::kEuler, 8);
  for (const Solver solver : {Solver::kAb2, Solver::kDpmpp2m}) {
    check_speed({}, solver, 8);
    EXPECT_THROW(check_speed({Speed::kFast, {}, {}}, solver, 8), UsageError);
    EXPECT_THROW(check_speed({Speed::kExact, 50.0, {}}, solver, 8), UsageError);
    EXPECT_THROW(check_speed({Speed::kExact, {}, 5}, solver, 8), UsageError);
  }
  EXPECT_THROW(check_speed({Speed::kFast, {}, 5}, Solver::kEuler, 8), UsageError);
  EXPECT_THROW(check_speed({Speed::kExact, 50.0, 5}, Solver::kEuler, 8), UsageError);
  EXPECT_THROW(check_speed({Speed::kExact, {}, 9}, Solver::kEuler, 8), UsageError);
  EXPECT_THROW(check_speed({Speed::kExact, {}, 1}, Solver::kEuler, 8), UsageError);
  EXPECT_EQ(speed_fault({Speed::kFast, {}, 5}, Solver::kEuler, 8).setting, "calls");
  EXPECT_EQ(speed_fault({Speed::kFast, {}, {}}, Solver::kAb2, 8).setting, "solver");
  EXPECT_EQ(speed_fault({}, Solver::kAb2, 8).setting, "");
}

}  // namespace
}  // namespace icedit
