#include "cli/checkpoint_summary.h"

#include <gtest/gtest.h>

namespace icedit::cli {
namespace {

CheckpointSummary of(const std::string& path) {
  return summarise(Checkpoint::open(Path(ICEDIT_GOLDENS) / path));
}

TEST(CheckpointSummary, EqualBlocksAreCounted) {
  const CheckpointSummary s = of("tiny-fill/transformer");
  EXPECT_EQ(s.tensors, 126);
  EXPECT_EQ(s.dtypes.size(), 1u);
  int64_t parameters = 0, tensors = 0, doubles = 0, singles = 0;
  for (const BlockGroup& group : s.groups) {
    const int64_t count = group.first < 0 ? 1 : group.count();
    parameters += count * group.parameters;
    tensors += count * static_cast<int64_t>(group.tensors.size());
    if (group.name == "transformer_blocks") doubles = group.count();
    if (group.name == "single_transformer_blocks") singles = group.count();
  }
  EXPECT_EQ(parameters, s.parameters);
  EXPECT_EQ(tensors, s.tensors);
  EXPECT_EQ(doubles, 2);
  EXPECT_EQ(singles, 3);
}

TEST(CheckpointSummary, KindsAreTold) {
  EXPECT_EQ(of("tiny-fill/transformer").what,
            "FLUX transformer, hidden size 32, Fill (384 input channels) (diffusers' names)");
  EXPECT_EQ(of("tiny-fill/text_encoder").what, "CLIP text encoder");
  EXPECT_EQ(of("tiny-fill/text_encoder_2").what, "T5 encoder");
  EXPECT_EQ(of("tiny-fill/vae").what, "AutoencoderKL (VAE)");
  EXPECT_EQ(of("text/text.safetensors").what, "unknown model");
}

TEST(CheckpointSummary, Counts) {
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(12'345), "12.3 k");
  EXPECT_EQ(count_text(9'300'000), "9.3 M");
  EXPECT_EQ(count_text(11'900'000'000), "11.90 B");
}

}  // namespace
}  // namespace icedit::cli
