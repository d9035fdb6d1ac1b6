#include "nn/stopwatch.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <thread>

#include "nn/attention.h"
#include "nn/operand.h"

namespace icedit {
namespace {

void pass(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

double seconds(Stopwatch& stopwatch, Work work) {
  return stopwatch.figures()[size_t(work)].seconds;
}

TEST(Stopwatch, TimeIsOfTheInnermostWork) {
  Stopwatch stopwatch;
  {
    const Timed product(Work::kProducts, 100);
    const Timed inputs(Work::kInputs);
    pass(0.02);
  }
  EXPECT_GE(seconds(stopwatch, Work::kInputs), 0.02);
  EXPECT_EQ(stopwatch.figures()[size_t(Work::kProducts)].flops, 100);
  EXPECT_EQ(seconds(stopwatch, Work::kAttention), 0);
  pass(0.01);
  EXPECT_GE(seconds(stopwatch, Work::kRest), 0.01);
  const double inputs = seconds(stopwatch, Work::kInputs);
  pass(0.001);
  EXPECT_EQ(seconds(stopwatch, Work::kInputs), inputs);
}

TEST(Stopwatch, CountsItsOwnThreadAloneAndNothingAfterItsEnd) {
  {
    Stopwatch stopwatch;
    std::thread([] { const Timed timed(Work::kProducts, 1); }).join();
    EXPECT_EQ(stopwatch.figures()[size_t(Work::kProducts)].flops, 0);
    EXPECT_THROW(Stopwatch(), std::exception);
  }
  const Timed timed(Work::kProducts, 1);
  Stopwatch stopwatch;
  EXPECT_EQ(stopwatch.figures()[size_t(Work::kProducts)].flops, 0);
}

TEST(Stopwatch, AttentionAndInputsSayThemselves) {
  Stopwatch stopwatch;
  const Tensor q = at::randn({1, 2, 6, 4});
  scaled_dot_product(q, q, q);
  // 2 heads, 6 x 6 scores, 4 numbers a head; two products, each of pairs.
  EXPECT_EQ(stopwatch.figures()[size_t(Work::kAttention)].flops, 2 * 2 * 2 * 6 * 6 * 4);
  Operand::gelu_tanh(at::randn({1, 64, 64})).tensor();
  EXPECT_GT(seconds(stopwatch, Work::kInputs), 0);
}

}  // namespace
}  // namespace icedit
