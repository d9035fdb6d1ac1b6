// The part of a photo that is edited, and how it comes back.
#include "edit/local_edit.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace icedit {
namespace {

TEST(LocalEdit, BoxesAreRead) {
  EXPECT_EQ(parse_box("10,20,300,40"), (Box{10, 20, 300, 40}));
  EXPECT_EQ(parse_box("10, 20, 300, 40"), (Box{10, 20, 300, 40}));
  EXPECT_TRUE(parse_box("auto")->around_mask());
  EXPECT_EQ(box_text(*parse_box("auto")), "auto");
  EXPECT_EQ(box_text({1, 2, 3, 4}), "1,2,3,4");
  for (const char* bad :
       {"", "1,2,3", "1,2,3,4,5", "a,b,c,d", "-1,2,3,4", "1,2,0,4", "1;2;3;4", "99999999999,1,1,1"})
    EXPECT_FALSE(parse_box(bad)) << bad;
}

TEST(LocalEdit, ABoxMustLieInThePicture) {
  const Size picture{400, 300};
  EXPECT_EQ(resolved_box({0, 0, 400, 300}, picture, nullptr, 512), (Box{0, 0, 400, 300}));
  EXPECT_THROW(resolved_box({1, 0, 400, 300}, picture, nullptr, 512), UsageError);
  EXPECT_THROW(resolved_box({2147483647, 0, 2147483647, 300}, picture, nullptr, 512), UsageError);
  EXPECT_THROW(resolved_box({0, 0, 15, 300}, picture, nullptr, 512), UsageError);
  EXPECT_THROW(resolved_box({}, picture, nullptr, 512), UsageError) << "auto without a mask";
}

TEST(LocalEdit, AutoIsTheMasksBoxWithAMarginWithinThePicture) {
  Image mask(1000, 800, 1);
  for (int y = 300; y < 400; ++y)
    for (int x = 500; x < 700; ++x) *mask.at(x, y) = 255;
  EXPECT_EQ(resolved_box({}, {1000, 800}, &mask, 16), (Box{450, 250, 300, 200}));
  EXPECT_EQ(resolved_box({}, {1000, 800}, &mask, 512), (Box{344, 94, 512, 512}));
  EXPECT_EQ(resolved_box({}, {1000, 800}, &mask, 5000), (Box{0, 0, 1000, 800}));
}

TEST(LocalEdit, ThePartComesBackWithoutASeamAndTheRestIsTouchedNowhere) {
  const Image whole(64, 48);
  Image part(32, 32);
  for (uint8_t& value : part.pixels) value = 200;
  const Image out = put_back(whole, part, {32, 8, 32, 32});  // ends at the right side
  for (int y = 0; y < 48; ++y) {
    for (int x = 0; x < 64; ++x) {
      const bool inside = x >= 32 && y >= 8 && y < 40;
      if (inside) continue;
      EXPECT_EQ(*out.at(x, y), 0) << x << "," << y;
    }
  }
  EXPECT_EQ(*out.at(48, 24), 200);
  EXPECT_EQ(*out.at(63, 24), 200) << "the picture's own side is no seam";
  EXPECT_LT(*out.at(32, 24), 100);
  EXPECT_LT(*out.at(48, 8), 100);
  // What is as it was comes back as it was.
  EXPECT_EQ(put_back(whole, Image(32, 32), {32, 8, 32, 32}), whole);
}

}  // namespace
}  // namespace icedit
