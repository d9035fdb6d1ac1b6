#include "base/process.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace icedit {
namespace {

TEST(Process, CoresAreAtMostTheLogicalOnes) {
  EXPECT_GE(available_cores(), 1);
  EXPECT_LE(available_cores(), static_cast<int>(std::thread::hardware_concurrency()));
}

TEST(Process, PeakMemoryGrowsWithWhatIsTouched) {
  const uint64_t before = peak_memory_bytes();
  ASSERT_GT(before, uint64_t{1} << 20);
  const std::vector<char> touched(256 << 20, 1);
  EXPECT_EQ(touched.back(), 1);
  EXPECT_GE(peak_memory_bytes(), uint64_t{256} << 20);
  EXPECT_GT(available_memory_bytes(), 0u);
}

}  // namespace
}  // namespace icedit
