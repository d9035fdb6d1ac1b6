#include "diffusion/latents.h"

#include <gtest/gtest.h>

#include "golden.h"

namespace icedit {
namespace {

class Packing : public ::testing::TestWithParam<const char*> {};

TEST_P(Packing, LatentsMaskAndIds) {
  const auto golden = golden::load(str("packing/", GetParam(), ".safetensors"));
  const Tensor latents = golden::get(golden, "latents"),
               mask = golden::get(golden, "mask").to(at::kFloat);
  const Tensor packed = pack_latents(latents);
  EXPECT_TRUE(golden::equal(packed, golden::get(golden, "packed")));
  EXPECT_TRUE(golden::equal(unpack_latents(packed, latents.size(2), latents.size(3)), latents));
  EXPECT_TRUE(golden::equal(pack_mask(mask, 8), golden::get(golden, "packed_mask")));
  EXPECT_TRUE(
      golden::equal(image_ids(latents.size(2), latents.size(3)), golden::get(golden, "image_ids")));
  const Tensor condition =
      at::cat({pack_latents((latents - 0.1159) * 0.3611), pack_mask(mask, 8)}, 2);
  EXPECT_TRUE(golden::equal(condition, golden::get(golden, "condition")));
  Tensor half = at::zeros({1, 1, mask.size(2), mask.size(3)});
  half.narrow(3, mask.size(3) / 2, mask.size(3) / 2).fill_(1);
  EXPECT_TRUE(golden::equal(pack_mask(half, 8), golden::get(golden, "packed_half_mask")));
}

INSTANTIATE_TEST_SUITE_P(Sizes, Packing, ::testing::Values("48x16", "64x128", "72x136", "80x144"),
                         [](const auto& info) { return std::string("s") + info.param; });

}  // namespace
}  // namespace icedit
