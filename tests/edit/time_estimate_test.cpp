#include "edit/time_estimate.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "edit/call_times.h"
#include "edit/memory_plan.h"
#include "golden.h"

namespace icedit {
namespace {

Residency tiny() {
  ModelRequest request;
  request.model = golden::path("tiny-fill").string();
  return {ModelFiles::find(request), {}};
}

TEST(TimeEstimate, ABlockIsMeasured) {
  const Residency residency = tiny();
  const EditSize size = usual_size(residency);
  const BlockTime block = measure_block(residency, size, 0.1);
  EXPECT_GT(block.forward, 0);
  EXPECT_GE(block.load, 0);
  EXPECT_GT(block.flops, 0);
  EXPECT_GT(training_seconds(residency, size, 0.1), 0);
}

TEST(TimeEstimate, TheVaesTimeIsByThePixels) {
  const Residency residency = tiny();
  EditSize size = usual_size(residency);
  const PictureTime one = measure_vae(residency, size);
  EXPECT_GT(one.encode, 0);
  size.pixels *= 1000;
  const PictureTime many = measure_vae(residency, size);
  EXPECT_GT(many.encode, one.encode);
  EXPECT_GT(many.decode, one.decode);
}

TEST(CallTimes, EndWithinACall) {
  Residency residency = tiny();
  const auto stop = [] { throw Interrupted("stopped"); };
  EXPECT_THROW(measure_calls(residency, usual_size(residency), stop), Interrupted);
}

TEST(TimeEstimate, CountsWhatIsDone) {
  Residency residency = tiny();
  const EditSize size = usual_size(residency);
  const BlockTime block = {.load = 1, .forward = 2, .flops = 1e9};
  const EditTime kept = estimate_time(residency, size, block, 1e9, 10);
  const auto blocks = double(transformer_blocks(residency).size());
  EXPECT_DOUBLE_EQ(kept.load, blocks);
  EXPECT_DOUBLE_EQ(kept.call, 2 * blocks);
  EXPECT_GT(kept.text, 0);
  EXPECT_GT(kept.modulations, 0);
  EXPECT_DOUBLE_EQ(kept.total() - estimate_time(residency, size, block, 1e9, 9).total(), kept.call);
  // What does not stay is loaded at each call.
  least_bytes(residency, size);
  const EditTime streamed = estimate_time(residency, size, block, 1e9, 10);
  EXPECT_DOUBLE_EQ(streamed.load, 0);
  EXPECT_DOUBLE_EQ(streamed.call, 3 * blocks);
}

}  // namespace
}  // namespace icedit
