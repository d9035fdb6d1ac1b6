// What stays in memory under a limit; at the size of tiny-fill, without the program's own bytes.
#include "edit/memory_plan.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "counted_memory.h"
#include "golden.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

constexpr uint64_t kGib = uint64_t{1} << 30;

class MemoryPlan : public ::testing::Test {
 protected:
  MemoryPlan() {
    ModelRequest request;
    request.model = golden::path("tiny-fill").string();
    ResidencyOptions options;
    options.quant = Quant::kInt8;  // copies, whose bytes are counted
    residency_.emplace(ModelFiles::find(request), options);
    request_.source = Image(64, 64);
    request_.instruction = "make it winter";
    request_.width = 64;
    request_.steps = 2;
    size_ = usual_size(*residency_, request_);
  }
  void plan(std::optional<uint64_t> most, uint64_t own = 0) {
    plan_memory(*residency_, {.low_memory = false, .most = most, .vram = {}}, false, size_, own);
  }
  uint64_t bytes() const { return process_bytes(*residency_, size_, /*own=*/0); }
  size_t streamed() const { return residency_->streamed().blocks.size(); }

  std::optional<Residency> residency_;
  EditRequest request_;
  EditSize size_;
};

TEST_F(MemoryPlan, WithoutALimitOrWithRoomNothingIsLetGoOf) {
  plan(std::nullopt);
  EXPECT_EQ(streamed(), 0u);
  EXPECT_EQ(residency_->keep(), Keep::kAll);
  EXPECT_FALSE(residency_->most_memory());
  plan(kGib);
  EXPECT_EQ(streamed(), 0u);
  EXPECT_EQ(residency_->keep(), Keep::kAll);
}

TEST_F(MemoryPlan, TheSmallerTheLimitTheFewerBlocksStay) {
  // In f32 and of one token the transformer is the largest part, streamed or not. Two of its blocks
  // are in memory at least, so that there must be more than a few.
  ModelRequest request;
  request.model = std::string(ICEDIT_SOURCE) + "/models/nano/model";
  residency_.emplace(ModelFiles::find(request), ResidencyOptions{});
  size_ = {1, 1, 0, 0};
  residency_->set_keep(Keep::kOne);
  const uint64_t everything = bytes(), least = least_bytes(*residency_, size_, 0);
  ASSERT_LT(least, everything);
  plan(least);
  EXPECT_EQ(bytes(), least);
  std::set<size_t> counts = {streamed()};
  for (uint64_t most = least; most <= everything; most += (everything - least) / 16) {
    const size_t before = streamed();
    plan(most);
    EXPECT_LE(bytes(), most);
    EXPECT_LE(streamed(), before);
    counts.insert(streamed());
  }
  plan(everything);
  EXPECT_EQ(streamed(), 0u);
  EXPECT_GT(counts.size(), 2u);
}

TEST_F(MemoryPlan, ALimitThatCannotWorkSaysWhatWould) {
  constexpr uint64_t kMib = uint64_t{1} << 20;
  // Also where the next whole MiB is far above what it takes.
  for (const uint64_t own : {uint64_t{0}, kMib / 4, kMib / 2, 3 * kMib / 4}) {
    const uint64_t least = least_bytes(*residency_, size_, own);
    const std::string text = error_of<UsageError>([&] { plan(least - 1, own); });
    const size_t at = text.find("; give --max-memory ");
    ASSERT_NE(at, std::string::npos) << text;
    EXPECT_NE(text.find("M, or a smaller --width"), std::string::npos) << text;
    const uint64_t advised = std::stoull(text.substr(at + 20)) * kMib;
    EXPECT_LT(advised, least + kMib);
    plan(advised, own);
    EXPECT_LE(process_bytes(*residency_, size_, own), advised);
  }
}

TEST_F(MemoryPlan, ALimitIsPlainToWriteAndNoSmaller) {
  const auto expect = [](uint64_t least, uint64_t bytes, const std::string& text) {
    EXPECT_EQ(plain_limit(least).text, text);
    EXPECT_EQ(plain_limit(least).bytes, bytes);
  };
  constexpr uint64_t kMib = uint64_t{1} << 20;
  expect(517 * kMib, 517 * kMib, "517M");
  expect(517 * kMib + 1, 518 * kMib, "518M");
  expect(10 * kGib - 1, 10 * kGib, "10240M");
  expect(10 * kGib + 1, 10 * kGib + kGib / 10, "10.1G");
  expect(12 * kGib, 12 * kGib, "12.0G");
}

TEST_F(MemoryPlan, ALimitOfAGpusMemoryIsRefusedOnTheCpu) {
  try {
    plan_memory(*residency_, {.low_memory = false, .most = {}, .vram = kGib}, false, size_);
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_STREQ(
        error.what(),
        "--max-vram is of a GPU's memory, but the device is cpu; give --max-memory, or --device");
  }
}

TEST_F(MemoryPlan, LessIsAllocatedAndTheEditIsTheSame) {
  const auto allocated = [&] {  // by the transformer, once its blocks are packed
    residency_->release(Part::kTransformer);
    CountedMemory memory;
    Editor(*residency_).edit(request_);
    const auto before = memory.live();
    residency_->release(Part::kTransformer);
    return before - memory.live();
  };
  plan(std::nullopt);
  residency_->set_keep(Keep::kAll);
  const Image want = Editor(*residency_).edit(request_).front().image;
  const int64_t everything = allocated();
  least_bytes(*residency_, size_, 0);
  residency_->set_keep(Keep::kAll);
  EXPECT_EQ(Editor(*residency_).edit(request_).front().image, want);
  int64_t blocks = 0;
  for (const CallBytes& block : transformer_blocks(*residency_)) blocks += int64_t(block.held);
  EXPECT_LT(allocated(), everything - blocks);
}

TEST_F(MemoryPlan, PicturesThatAreDenoisedTogetherCount) {
  plan(std::nullopt);
  const uint64_t one = bytes();
  size_.together = 64;
  EXPECT_GT(bytes(), one);
  const std::string text = error_of<UsageError>([&] { plan(one); });
  EXPECT_NE(text.find("64 edits at once, each of 4096 pixels, take about "), std::string::npos);
  EXPECT_NE(text.find("M, or a smaller --batch or --width"), std::string::npos);
}

TEST_F(MemoryPlan, AnEditAboveTheLimitIsRefused) {
  residency_->set_most_memory(kProgramAtMost + (uint64_t{64} << 20));
  MemoryCheck check(*residency_, 1000 * kGib);
  EXPECT_EQ(check.shortage(request_, {64, 64}, {64, 64}), "");
  const std::string text = check.shortage(request_, {2048, 2048}, {64, 64});
  EXPECT_NE(text.find("but --max-memory allows 464.0 MiB; give a smaller --width, or more"),
            std::string::npos)
      << text;
}

TEST_F(MemoryPlan, QuantisedMatricesTakeAByteAnElement) {
  const auto transformer = [&](Quant quant) {
    ResidencyOptions options;
    options.quant = quant;
    ModelRequest request;
    request.model = golden::path("tiny-fill").string();
    return estimate_parts(Residency(ModelFiles::find(request), options), size_).front();
  };
  const PartEstimate plain = transformer(Quant::kNone), int8 = transformer(Quant::kInt8);
  EXPECT_LT(int8.weights, plain.weights * 2 / 3);
  EXPECT_EQ(plain.copied, 0u);
  EXPECT_GT(int8.copied, 0u);
}

}  // namespace
}  // namespace icedit
