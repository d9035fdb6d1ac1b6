// What an edit takes of the pretend device's memory: budgets, blocks that are streamed, what is
// left when it is used up.
#include <gtest/gtest.h>

#include "base/error.h"
#include "device/flux_width.h"
#include "device/pretend_device.h"
#include "edit/call_times.h"
#include "edit/memory_plan.h"
#include "edit/time_estimate.h"

namespace icedit {
namespace {

using pretend::device, pretend::Memory;

ResidencyOptions on_device() {
  ResidencyOptions options;
  options.device = device();
  return options;
}

ModelFiles tiny_fill() {
  ModelRequest request;
  request.model = golden::path("tiny-fill").string();
  return ModelFiles::find(request);
}

EditRequest small_request(int64_t steps = 2) {
  EditRequest request;
  request.source = Image(64, 64);
  request.instruction = "make it winter";
  request.prefix = "";
  request.width = 64;
  request.steps = steps;
  request.max_sequence_length = 32;
  return request;
}

TEST(MemoryOnDevice, StreamedWeightsGiveTheSamePixels) {
  ResidencyOptions options = on_device();
  options.adapters = {{golden::path("lora/alpha4").string(), 1.0}};
  const Image want = Editor(tiny_fill(), options).edit(small_request()).front().image;
  options.let_go_from = 1;  // T5's blocks and the modulations
  Editor editor(tiny_fill(), options);
  Residency& residency = editor.residency();
  EXPECT_TRUE(residency.streamed().t5 && residency.streamed().modulations);
  EXPECT_EQ(editor.edit(small_request()).front().image, want);
  residency.set_streamed(
      {true,
       true,
       {"transformer_blocks.1", "single_transformer_blocks.0", "single_transformer_blocks.2"}});
  for (const Keep keep : {Keep::kOne, Keep::kImageParts, Keep::kAll}) {
    residency.set_keep(keep);
    EXPECT_EQ(editor.edit(small_request()).front().image, want);
  }
}

// Whatever the order of loads and unloads, pixels are the same: a matrix that is not there is
// loaded by its use. So the copies are counted.
TEST(MemoryOnDevice, EachStreamedBlockIsCopiedOnceACall) {
  Residency residency(tiny_fill(), on_device());
  residency.set_keep(Keep::kOne);
  const auto copied_by_two_more_calls = [&] {
    const auto copied = [&](int64_t steps) {
      for (const Part part : kParts) residency.release(part);
      Memory::all().start();
      Editor(residency).edit(small_request(steps));
      return Memory::all().copied();
    };
    return copied(4) - copied(2);
  };
  int64_t bytes = 0;
  StreamedParts all;
  for (const CallBytes& block : transformer_blocks(residency)) {
    bytes += int64_t(block.held);
    all.blocks.insert(block.path);
  }
  const int64_t others = copied_by_two_more_calls();
  EXPECT_LT(others, bytes / 10);
  residency.set_streamed(all);
  EXPECT_EQ(copied_by_two_more_calls(), 2 * bytes + others);
}

TEST(MemoryOnDevice, WhatIsReleasedIsGivenBack) {
  const int64_t before = Memory::all().now();
  Residency residency(tiny_fill(), on_device());
  Editor(residency).edit(small_request());
  for (const Part part : kParts) residency.release(part);
  EXPECT_EQ(Memory::all().now(), before);
}

// As a server would: the next edit runs.
TEST(MemoryOnDevice, AnEditThatFindsTooLittleLeavesNothingBehind) {
  Residency residency(tiny_fill(), on_device());
  residency.set_keep(Keep::kAll);
  const Image want = Editor(residency).edit(small_request()).front().image;
  const int64_t before = Memory::all().now();
  Memory::all().start();
  Editor(residency).edit(small_request());
  const int64_t needed = Memory::all().most() - before;
  for (const int64_t share : {10, 50, 90}) {
    Memory::all().set_limit(before + needed * share / 100);
    EXPECT_THROW(Editor(residency).edit(small_request()), c10::OutOfMemoryError);
    Memory::all().set_limit(Memory::kNoLimit);
    EXPECT_EQ(Memory::all().now(), before);
    EXPECT_EQ(Editor(residency).edit(small_request()).front().image, want);
  }
}

class BudgetOnDevice : public ::testing::Test {
 protected:
  // The most that an edit takes at once, within what was planned.
  int64_t most_of_an_edit() {
    for (const Part part : kParts) residency_.release(part);
    const int64_t before = Memory::all().now();
    Memory::all().start();
    Editor(residency_).edit(request_);
    return Memory::all().most() - before;
  }
  uint64_t planned(std::optional<uint64_t> most) {
    plan_memory(residency_, {.low_memory = true, .most = {}, .vram = most}, false, size_);
    return process_bytes(residency_, size_);
  }

  FluxWidthModel model_;
  Residency residency_{model_.files(), on_device()};
  EditRequest request_ = small_request(/*steps=*/1);
  EditSize size_ = usual_size(residency_, request_);
};

TEST_F(BudgetOnDevice, IsKeptAtFluxsWidth) {
  const uint64_t everything = planned({}), least = least_bytes(residency_, size_);
  // Of one block the slot is as large.
  for (const auto& [budget, streamed] : {std::pair{everything / 10 * 9, 2U}, {least, 3U}}) {
    const uint64_t bytes = planned(budget);
    EXPECT_LE(bytes, budget);
    EXPECT_EQ(residency_.streamed().blocks.size(), streamed);
    Memory::all().set_limit(Memory::all().now() + int64_t(budget));
    EXPECT_NEAR(double(most_of_an_edit()), double(bytes), 0.1 * double(bytes));
    Memory::all().set_limit(Memory::kNoLimit);
  }
}

// With so many tokens that they count, and not the weights.
class ActivationsOnDevice : public ::testing::TestWithParam<DtypeChoice> {};

TEST_P(ActivationsOnDevice, AreThoseOfTheEstimate) {
  if (GetParam() == DtypeChoice::kBF16 && !cpu_has_bf16_products())
    GTEST_SKIP() << "takes minutes without bf16 products";
  const FluxWidthModel model(/*hidden=*/1024);
  ResidencyOptions options = on_device();
  options.dtype = GetParam();
  Editor editor(model.files(), options);
  for (const int64_t together : {1, 2}) {
    editor.set_batch(together);
    EditRequest request = small_request(/*steps=*/1);
    request.width = together == 1 ? 256 : 192;
    EditSize size = usual_size(editor.residency(), request);
    size.together = together;
    const auto estimate = double(estimate_parts(editor.residency(), size).front().activations);
    EditHooks hooks;
    int64_t before = 0, most = 0;
    hooks.on_stage = [&](const std::string& stage) {
      most = std::max(most, before > 0 ? Memory::all().most() - before : 0);
      before = stage == kDenoisingStage ? Memory::all().now() : 0;
      Memory::all().start();
    };
    editor.edit(std::vector(size_t(together), request), hooks,
                [](size_t, const std::vector<EditedImage>&) {});
    EXPECT_LE(double(most), estimate) << together;
    EXPECT_GE(double(most), 0.85 * estimate) << together;
  }
}

INSTANTIATE_TEST_SUITE_P(In, ActivationsOnDevice,
                         ::testing::Values(DtypeChoice::kF32, DtypeChoice::kBF16),
                         [](const auto& info) {
                           return info.param == DtypeChoice::kF32 ? "F32" : "Bf16";
                         });

TEST_F(BudgetOnDevice, WhatCannotBeKeptIsRefused) {
  const MemoryLimit host = {.low_memory = false, .most = uint64_t{1} << 40, .vram = {}};
  EXPECT_EQ(error_of<UsageError>([&] { plan_memory(residency_, host, false, size_); }),
            "--max-memory is of the host's memory, of which an edit on pretend:0 takes "
            "little; give --max-vram");
  const std::string least = error_of<UsageError>([&] { planned(uint64_t{1} << 20); });
  EXPECT_EQ(least.find("--max-vram 1.0 MiB is too little: "), 0u) << least;
  planned(uint64_t{3} << 30);
  MemoryCheck check(residency_, /*available=*/0);  // the machine's memory does not count
  EXPECT_EQ(check.shortage(request_, {64, 64}, {64, 64}), "");
  const std::string above = check.shortage(request_, {1024, 1024}, {64, 64});
  EXPECT_NE(above.find("but --max-vram allows 3.0 GiB; give a smaller --width, or more"),
            std::string::npos)
      << above;
}

TEST(TimesOnDevice, AreRefused) {
  Residency residency(tiny_fill(), on_device());
  const EditSize size = usual_size(residency, small_request());
  const std::string sentence = "times are measured on the CPU alone; add --device cpu";
  EXPECT_EQ(error_of<UsageError>([&] { measure_block(residency, size, 1); }), sentence);
  EXPECT_EQ(error_of<UsageError>([&] { training_seconds(residency, size, 1); }), sentence);
  EXPECT_EQ(error_of<UsageError>([&] { measure_calls(residency, size); }), sentence);
}

}  // namespace
}  // namespace icedit
