#include "nn/block_stream.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/process.h"
#include "counted_memory.h"
#include "golden.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

constexpr int64_t kWidth = 1024, kBlocks = 4;
constexpr int64_t kBytes = kWidth * kWidth * 4;  // of a matrix in f32

// Blocks "b.0", ... of one Linear each, in a file.
class BlockStreams : public ::testing::Test {
 protected:
  // `stored` is not f32: the matrices are copies.
  Weights open(at::ScalarType stored, bool deferred) {
    std::vector<std::pair<std::string, Tensor>> tensors;
    for (int64_t i = 0; i < kBlocks; ++i)
      tensors.emplace_back(str("b.", i, ".weight"), (at::randn({kWidth, kWidth}) / 32).to(stored));
    save_tensors(folder_ / "model.safetensors", tensors);
    LoadOptions options;
    options.deferred = [=](const std::string&) { return deferred; };
    Weights w(Checkpoint::open(folder_ / "model.safetensors"), options);
    for (int64_t i = 0; i < kBlocks; ++i)
      blocks_.emplace_back(w / "b" / i, kWidth, kWidth, /*bias=*/false);
    return w;
  }

  static BlockStream stream_of(Weights& w, bool again = true) {
    return {block_units(w.linears(), [](const std::string& path) { return path; }), again};
  }

  // All blocks, one after the other.
  Tensor forward(const AroundBlock& around) const {
    Tensor x = x_;
    for (const Linear& block : blocks_) {
      const auto formula = [&](const Tensors& in) { return Tensors{block(in[0])}; };
      const BlockCall call = {block.path(), formula, {x}};
      x = (around ? around(call) : call())[0];
    }
    return x;
  }

  TemporaryFolder folder_;
  std::vector<Linear> blocks_;
  Tensor x_ = at::randn({2, kWidth});
};

TEST_F(BlockStreams, OneBlockAtATimeIsInMemory) {
  CountedMemory memory;
  Weights w = open(at::kBFloat16, /*deferred=*/true);
  memory.start();
  BlockStream stream = stream_of(w);
  const auto around = [&](const BlockCall& call) { return stream(call, {}); };
  const Tensor streamed = forward(around);
  EXPECT_TRUE(golden::equal(forward(around), streamed));  // after the last comes the first
  EXPECT_GE(memory.most(), kBytes);
  EXPECT_LT(memory.most(), 2 * kBytes);
  EXPECT_LT(memory.live(), kBytes);
  for (Linear& block : blocks_) block.load();
  EXPECT_GE(memory.live(), kBlocks * kBytes);
  EXPECT_TRUE(golden::equal(forward({}), streamed));
}

TEST_F(BlockStreams, PagesOfTheFileAreGivenBack) {
  Weights w = open(at::kFloat, /*deferred=*/false);
  BlockStream stream = stream_of(w, /*again=*/false);
  const auto resident = [] { return int64_t(resident_memory_bytes()); };
  const auto plain = forward({});
  const int64_t mapped = resident();
  EXPECT_TRUE(
      golden::equal(forward([&](const BlockCall& call) { return stream(call, {}); }), plain));
  EXPECT_LT(resident(), mapped - (kBlocks - 1) * kBytes);
}

TEST_F(BlockStreams, WhatIsNotStreamedIsOnlyCalled) {
  Weights w = open(at::kBFloat16, /*deferred=*/true);
  BlockStream stream(
      block_units(w.linears(), [](const std::string& path) { return path == "b.1" ? path : ""; }),
      true);
  std::vector<std::string> around;
  const Tensor made = forward([&](const BlockCall& call) {
    return stream(call, [&](const BlockCall& inner) {
      around.push_back(inner.path);
      return inner();
    });
  });
  EXPECT_EQ(around, (std::vector<std::string>{"b.0", "b.1", "b.2", "b.3"}));
  EXPECT_TRUE(golden::equal(made, forward({})));
}

TEST_F(BlockStreams, ACallThatFailsLetsGoToo) {
  CountedMemory memory;
  Weights w = open(at::kBFloat16, /*deferred=*/true);
  BlockStream stream = stream_of(w);
  memory.start();
  const BlockCall failing = {
      "b.0", [](const Tensors&) -> Tensors { throw UsageError("cancelled"); }, {}};
  EXPECT_THROW(stream(failing, {}), UsageError);
  EXPECT_GE(memory.most(), kBytes);
  EXPECT_LT(memory.live(), kBytes);
}

}  // namespace
}  // namespace icedit
