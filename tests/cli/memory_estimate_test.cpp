#include "cli/memory_estimate.h"

#include <gtest/gtest.h>

namespace icedit::cli {
namespace {

PartEstimate part(Part which, uint64_t weights, uint64_t activations) {
  PartEstimate e;
  e.part = which;
  e.weights = weights;
  e.activations = activations;
  return e;
}

constexpr uint64_t kGib = uint64_t{1} << 30;

std::vector<PartEstimate> large() {
  return {part(Part::kTransformer, 24 * kGib, 2 * kGib), part(Part::kT5, 10 * kGib, kGib),
          part(Part::kClip, kGib / 4, 0), part(Part::kVae, kGib / 4, 4 * kGib)};
}

TEST(MemoryEstimate, PeakFollowsWhatStaysLoaded) {
  EXPECT_EQ(peak_bytes(large(), Keep::kOne), 26 * kGib);
  // Transformer and VAE together, with the larger of their activations.
  EXPECT_EQ(peak_bytes(large(), Keep::kImageParts), 24 * kGib + kGib / 4 + 4 * kGib);
  EXPECT_EQ(peak_bytes(large(), Keep::kAll), 34 * kGib + kGib / 2 + 4 * kGib);
}

TEST(MemoryEstimate, SmallModelsStayWholeAndLargeOnesDoNot) {
  const std::vector<PartEstimate> small = {part(Part::kTransformer, 40 << 20, 0)};
  EXPECT_EQ(choose_keep(small, false, false), Keep::kAll);
  EXPECT_EQ(choose_keep(small, true, false), Keep::kOne);
  EXPECT_EQ(choose_keep(large(), false, false), Keep::kOne);
  EXPECT_EQ(choose_keep(large(), false, true), Keep::kImageParts);
  EXPECT_EQ(choose_keep(large(), true, true), Keep::kOne);
}

TEST(MemoryEstimate, ReadsHeadersAndConfigs) {
  ModelRequest request;
  request.model = (Path(ICEDIT_GOLDENS) / "tiny-fill").string();
  const Residency residency(ModelFiles::find(request), {});
  const auto parts = estimate_parts(residency, {32, 512, 64 * 128});
  ASSERT_EQ(parts.size(), 4u);
  for (const PartEstimate& e : parts) {
    EXPECT_EQ(e.weights, 4 * static_cast<uint64_t>(e.parameters)) << part_name(e.part);
    EXPECT_EQ(e.dtype, "F32");
    EXPECT_FALSE(e.mapped);
    EXPECT_GT(e.activations, 0u);
  }
}

}  // namespace
}  // namespace icedit::cli
