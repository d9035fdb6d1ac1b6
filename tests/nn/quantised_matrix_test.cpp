// Matrices that are quantised as they are loaded, some rows at a time.
#include "nn/quantised_matrix.h"

#include <gtest/gtest.h>

#include "counted_memory.h"
#include "golden.h"
#include "io/temporary_folder.h"
#include "nn/int4_matrix.h"
#include "nn/int8_matrix.h"

namespace icedit {
namespace {

constexpr int64_t kIn = 4096, kOut = 2100;  // three tiles, the last one smaller

class QuantisedMatrix : public ::testing::Test {
 protected:
  Tensor weight_ = at::randn({kOut, kIn});
};

TEST_F(QuantisedMatrix, IsWhatAllRowsAtOnceGive) {
  const MatrixPtr stored = dense_matrix(weight_);
  const int64_t group = rotation_group(kIn);
  EXPECT_TRUE(golden::equal(quantised_matrix(*stored, kOut, kIn, Quant::kInt8)->dense(at::kFloat),
                            int8_matrix(quantised_rows(weight_, group))->dense(at::kFloat)));
  EXPECT_TRUE(
      golden::equal(quantised_matrix(*stored, kOut, kIn, Quant::kInt4)->dense(at::kFloat),
                    int4_matrix(quantised_rows_in_4_bits(weight_, group))->dense(at::kFloat)));
}

TEST_F(QuantisedMatrix, NothingButSomeRowsInF32IsMadeBesideIt) {
  const MatrixPtr stored = dense_matrix(weight_.to(at::kBFloat16));
  for (const Quant quant : {Quant::kInt8, Quant::kInt4}) {
    CountedMemory memory;
    const MatrixPtr made = quantised_matrix(*stored, kOut, kIn, quant);
    EXPECT_LT(memory.most(), memory.live() + kMostAtOnce);
    EXPECT_GT(memory.most(), memory.live());
  }
}

TEST_F(QuantisedMatrix, TilesAreTheRowsOfEachKind) {
  const TemporaryFolder folder;
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kFloat8_e4m3fn}) {
    for (const Tensor& scale : {Tensor(), at::scalar_tensor(0.25), at::rand({kOut}) + 0.5}) {
      std::vector<std::pair<std::string, Tensor>> tensors = {{"layer.weight", weight_.to(dtype)}};
      if (scale.defined()) tensors.emplace_back("layer.weight_scale", scale);
      save_tensors(folder / "model.safetensors", tensors);
      const Weights w(Checkpoint::open(folder / "model.safetensors"), {.keep_stored = true});
      const MatrixPtr matrix = load_matrix(w / "layer", kIn, kOut);
      std::vector<Tensor> tiles;
      int64_t next = 0;
      matrix->each_tile(at::kFloat, [&](int64_t first, const Tensor& rows) {
        EXPECT_EQ(first, next);
        EXPECT_LE(rows.numel(), kMostAtOnce);
        next += rows.size(0);
        tiles.push_back(rows);
      });
      EXPECT_EQ(tiles.size(), 3u);
      EXPECT_TRUE(golden::equal(at::cat(tiles), matrix->dense(at::kFloat)));
    }
  }
}

}  // namespace
}  // namespace icedit
