// A component's tensors on their way to a file of another layout.
#include "cli/stacks.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "counted_memory.h"
#include "golden.h"
#include "io/temporary_folder.h"
#include "nn/matrix.h"

namespace icedit::cli {
namespace {

constexpr int64_t kRows = 20000, kWidth = 1024;  // five tiles

class Stacks : public ::testing::Test {
 protected:
  Checkpoint saved(const Tensor& table) const {
    save_tensors(folder_ / "model.safetensors", {{"shared.weight", table}});
    return Checkpoint::open(folder_ / "model.safetensors");
  }

  TemporaryFolder folder_;
  const Stack table_ = {"token_embd.weight", {"shared.weight"}};
};

TEST_F(Stacks, ATableOfVectorsIsReadSomeRowsAtATime) {
  const Tensor table = at::randn({kRows, kWidth}).to(at::kHalf);
  const StackReader reader(saved(table));
  int64_t rows_read = 0;
  reader.each(table_, [&](const Tensor& rows) {
    EXPECT_LE(rows.numel(), kMostAtOnce);
    EXPECT_TRUE(golden::equal(rows, table.narrow(0, rows_read, rows.size(0)).to(at::kFloat)));
    rows_read += rows.size(0);
  });
  EXPECT_EQ(rows_read, kRows);
  CountedMemory memory;
  reader.each(table_, [](const Tensor&) {});
  EXPECT_LT(memory.most(), kRows * kWidth * 4);
}

TEST_F(Stacks, WhatIsNotFiniteIsNamedWhereverItStands) {
  Tensor table = at::zeros({kRows, kWidth}, at::kHalf);
  table[kRows - 1][3] = std::numeric_limits<float>::infinity();
  const StackReader reader(saved(table));
  const std::string text =
      error_of<CheckpointError>([&] { reader.each(table_, [](const Tensor&) {}); });
  EXPECT_NE(text.find("tensor 'shared.weight' holds NaN or infinity; the file is damaged"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace icedit::cli
