#include "edit/diptych.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "golden.h"
#include "io/files.h"

namespace icedit {
namespace {

constexpr int kToken = 16;

Image golden_image(const std::string& name) {
  return read_image(golden::path("image/" + name));
}

TEST(Diptych, IceditsSizes) {
  const auto cases = nlohmann::json::parse(read_file(golden::path("image/icedit_size.json")));
  for (const auto& one : cases) {
    const Size source{one["source"][0], one["source"][1]};
    const Size want{one["size"][0], one["size"][1]};
    if (want.height < 8) {  // nothing is left of the picture: the script goes on with it, we say so
      EXPECT_THROW(half_size(source, one["width"], Sizing::kIcedit, kToken), UsageError) << one;
      continue;
    }
    EXPECT_EQ(half_size(source, one["width"], Sizing::kIcedit, kToken), want) << one;
  }
  EXPECT_GT(cases.size(), 30u);
}

TEST(Diptych, FittedSizesAreTheNearestTokens) {
  EXPECT_EQ(half_size({1024, 768}, 512, Sizing::kFit, kToken), (Size{512, 384}));
  EXPECT_EQ(half_size({500, 333}, 512, Sizing::kFit, kToken),
            (Size{512, 336}));  // 340.99 / 16 = 21.3
  EXPECT_EQ(half_size({512, 500}, 512, Sizing::kFit, kToken), (Size{512, 496}));  // 31.25
  EXPECT_EQ(half_size({1000, 3}, 512, Sizing::kFit, kToken), (Size{512, 16}));    // never nothing
  EXPECT_EQ(half_size({64, 56}, 64, Sizing::kFit, kToken), (Size{64, 64}));  // 3.5: half to even
  EXPECT_THROW(half_size({512, 512}, 500, Sizing::kFit, kToken), UsageError);
  EXPECT_THROW(half_size({512, 512}, 0, Sizing::kFit, kToken), UsageError);
}

TEST(Diptych, StripsAreRefused) {
  EXPECT_EQ(half_size({10, 160}, 96, Sizing::kFit, kToken).height, 1536);  // 16 widths
  EXPECT_THROW(half_size({10, 162}, 96, Sizing::kFit, kToken), UsageError);
  EXPECT_THROW(half_size({1000, 9000}, 2048, Sizing::kFit, kToken), UsageError);  // 18432 pixels
  for (const Sizing sizing : {Sizing::kFit, Sizing::kIcedit}) {
    EXPECT_THROW(half_size({1, 89000000}, 16384, sizing, kToken), UsageError);  // overflows an int
  }
}

class IceditPicture : public ::testing::TestWithParam<int> {};

TEST_P(IceditPicture, DiptychMaskAndWhatTheProcessorsMakeOfThem) {
  const std::string stem = str("icedit_", GetParam(), "_");
  const Image source = golden_image(stem + "source.png");
  const Diptych copy = make_diptych(source, 64, Sizing::kIcedit, Layout::kCopy, kToken);
  const Diptych black = make_diptych(source, 64, Sizing::kIcedit, Layout::kBlack, kToken);
  EXPECT_EQ(copy.image, golden_image(stem + "diptych.png"));
  EXPECT_EQ(black.image, golden_image(stem + "diptych_black.png"));
  EXPECT_EQ(copy.mask, read_mask(golden::path("image/" + stem + "mask.png")));
  const auto want = golden::load("image/" + stem + "preprocessed.safetensors");
  EXPECT_TRUE(golden::equal(preprocess_image(copy.image, kToken), golden::get(want, "image")));
  EXPECT_TRUE(
      golden::equal(preprocess_mask(copy.mask, kToken), golden::get(want, "mask").to(at::kFloat)));
}

INSTANTIATE_TEST_SUITE_P(Goldens, IceditPicture, ::testing::Values(0, 1));

TEST(Diptych, PixelsOfTheVae) {
  for (const char* name : {"vae/vae_48x32.safetensors", "vae/vae_64x64.safetensors"}) {
    const auto golden = golden::load(name);
    const Image image = postprocess_image(golden::get(golden, "decoded"));
    const Tensor got = at::from_blob(const_cast<uint8_t*>(image.pixels.data()),
                                     {1, image.height, image.width, 3}, at::kByte);
    EXPECT_TRUE(golden::equal(got, golden::get(golden, "decoded_uint8")));
  }
}

TEST(Diptych, OutsideTheMaskTheSourceIsExact) {
  Image edited(8, 4), source(8, 4), mask(8, 4, 1);
  std::fill(edited.pixels.begin(), edited.pixels.end(), 200);
  std::fill(source.pixels.begin(), source.pixels.end(), 10);
  for (int y = 0; y < 4; ++y) *mask.at(3, y) = *mask.at(4, y) = 255;
  const Image hard = paste_outside(edited, source, mask, 0);
  const Image soft = paste_outside(edited, source, mask, 1);
  for (int x = 0; x < 8; ++x) {
    EXPECT_EQ(*hard.at(x, 2), x == 3 || x == 4 ? 200 : 10) << x;
    const int blended = *soft.at(x, 2);
    const bool edge = x == 2 || x == 5, outside = x < 2 || x > 5;
    EXPECT_TRUE(edge ? blended > 10 && blended < 200 : blended == (outside ? 10 : 200)) << x;
  }
}

TEST(Diptych, AFeatherFallsFromTheEditAtTheMasksEdgeToTheSource) {
  constexpr int kSize = 64, kFeather = 10, kFirst = 24, kLast = 39;  // of the white square
  Image edited(kSize, kSize), source(kSize, kSize), mask(kSize, kSize, 1);
  std::fill(edited.pixels.begin(), edited.pixels.end(), 255);
  for (int y = kFirst; y <= kLast; ++y) std::fill_n(mask.at(kFirst, y), kLast - kFirst + 1, 255);
  const Image out = paste_outside(edited, source, mask, kFeather);
  for (int d = 1; d < kFirst; ++d) {
    const int right = *out.at(kLast + d, 32);
    EXPECT_LE(right, *out.at(kLast + d - 1, 32)) << d;
    for (const int other :
         {*out.at(kFirst - d, 32), *out.at(32, kLast + d), *out.at(32, kFirst - d)})
      EXPECT_EQ(other, right) << d;
    if (d > kFeather) {
      EXPECT_EQ(right, 0) << d;
    }
  }
  EXPECT_EQ(*out.at(kLast, kLast), 255);
  EXPECT_GE(*out.at(kLast + 1, 32), 250);  // no seam
  EXPECT_NEAR(*out.at(kLast + 5, 32), 255 / 2, 30);
  EXPECT_LE(*out.at(kLast + kFeather, 32), 5);
  // At a corner it is the distance that counts: 8 and 8 pixels away is 11.3.
  EXPECT_EQ(*out.at(kLast + 8, kLast + 8), 0);
  EXPECT_GT(*out.at(kLast + 5, kLast + 5), 20);
}

TEST(Diptych, WidthsThatAreNoMultipleNameTwoThatAre) {
  const auto error = [](int width) -> std::string {
    try {
      half_size({64, 64}, width, Sizing::kFit, kToken);
    } catch (const UsageError& usage) {
      return usage.what();
    }
    return "";
  };
  EXPECT_NE(error(1).find("such as 16 or 32"), std::string::npos) << error(1);
  EXPECT_NE(error(47).find("such as 32 or 48"), std::string::npos) << error(47);
}

TEST(Diptych, MasksThatCannotBe) {
  const Image source(32, 32);
  const Image small(16, 16, 1), empty(32, 32, 1);
  EXPECT_THROW(make_diptych(source, 32, Sizing::kFit, Layout::kCopy, kToken, &small), UsageError);
  EXPECT_THROW(make_diptych(source, 32, Sizing::kFit, Layout::kCopy, kToken, &empty), UsageError);
}

}  // namespace
}  // namespace icedit
