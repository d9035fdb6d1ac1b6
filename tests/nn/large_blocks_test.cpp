#include "nn/large_blocks.h"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/process.h"
#include "base/tensor.h"

namespace icedit {
namespace {

constexpr int64_t kMiB = 1 << 20;

// Of the test's process alone, put back afterwards.
class LargeBlocks : public ::testing::Test {
 protected:
  LargeBlocks() { keep_large_blocks(64 * kMiB); }
  ~LargeBlocks() override {
    release_large_blocks();
    c10::SetCPUAllocator(before_, /*priority=*/1);
  }

  static Tensor bytes(int64_t count) { return at::empty({count}, at::kByte); }
  static const void* place(const Tensor& t) { return t.const_data_ptr(); }

  c10::Allocator* before_ = c10::GetCPUAllocator();
};

TEST_F(LargeBlocks, TheNextOfTheSizeGetsThePlace) {
  Tensor first = bytes(16 * kMiB).fill_(7);
  const void* where = place(first);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(where) % (2 * kMiB), 0);
  first = Tensor();
  EXPECT_EQ(place(bytes(15 * kMiB)), where);
  const Tensor holder = bytes(16 * kMiB), other = bytes(16 * kMiB);
  EXPECT_NE(place(holder), place(other));
}

TEST_F(LargeBlocks, OfAMatrixNoHugePageIsLost) {
  const auto before = resident_memory_bytes();
  std::vector<Tensor> matrices;
  for (int i = 0; i < 16; ++i) matrices.push_back(bytes(9 * kMiB).fill_(1));
  EXPECT_LT(resident_memory_bytes(), before + 148 * kMiB);  // 160 by whole ones
}

TEST_F(LargeBlocks, NoMoreThanTheLimitIsKept) {
  const auto resident = [] { return resident_memory_bytes(); };
  Tensor large = bytes(256 * kMiB).fill_(1);
  const auto with = resident();
  large = Tensor();  // above the limit: given back
  EXPECT_LT(resident() + 200 * kMiB, with);
  Tensor small = bytes(48 * kMiB).fill_(1);
  const auto used = resident();
  small = Tensor();
  EXPECT_LT(used, resident() + 16 * kMiB);  // kept
  release_large_blocks();
  EXPECT_LT(resident() + 32 * kMiB, used);
}

TEST_F(LargeBlocks, KeptAndUsedAreNoMoreThanWasUsedAtOnce) {
  keep_large_blocks(256 * kMiB);
  release_large_blocks();
  const auto resident = [] { return resident_memory_bytes(); };
  const auto before = resident();
  bytes(48 * kMiB).fill_(1);  // kept, and no one's size
  bytes(24 * kMiB).fill_(1);  // so that it goes
  bytes(32 * kMiB).fill_(1);
  EXPECT_LT(resident(), before + 56 * kMiB);
  { const Tensor first = bytes(40 * kMiB).fill_(1), second = bytes(40 * kMiB).fill_(1); }
  const auto kept = resident();  // both
  EXPECT_GT(kept, before + 72 * kMiB);
  const Tensor first = bytes(40 * kMiB).fill_(1), second = bytes(40 * kMiB).fill_(1);
  EXPECT_LT(resident(), kept + 4 * kMiB);
}

TEST_F(LargeBlocks, ThreadsShareThem) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 50; ++i) {
        const Tensor a = bytes((4 + (t + i) % 5) * kMiB);
        const Tensor b = bytes((4 + i % 3) * kMiB);
        a.fill_(t);
        b.fill_(t + 100);
        ASSERT_EQ(a[0].item<uint8_t>(), t);
        ASSERT_EQ(a[-1].item<uint8_t>(), t);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(LargeBlocks, SmallTensorsAreMallocs) {
  EXPECT_NE(reinterpret_cast<uintptr_t>(place(bytes(100))) % (2 * kMiB), 0);
}

}  // namespace
}  // namespace icedit
