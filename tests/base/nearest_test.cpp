#include "base/nearest.h"

#include <gtest/gtest.h>

namespace icedit {
namespace {

const std::vector<std::string> kWords = {"edit", "inspect", "stage", "--guidance", "--num-images"};

TEST(Nearest, FindsSlips) {
  EXPECT_EQ(nearest("edti", kWords), "edit");       // two letters swapped
  EXPECT_EQ(nearest("inspct", kWords), "inspect");  // one missing
  EXPECT_EQ(nearest("stagee", kWords), "stage");    // one too many
  EXPECT_EQ(nearest("--guidnace", kWords), "--guidance");
}

TEST(Nearest, TakesABeginningThatOnlyOneWordHas) {
  EXPECT_EQ(nearest("--num", kWords), "--num-images");
  EXPECT_EQ(nearest("--", kWords), "");
}

TEST(Nearest, SaysNothingWhenNothingIsNear) {
  EXPECT_EQ(nearest("banana", kWords), "");
  EXPECT_EQ(nearest("", kWords), "");
  EXPECT_EQ(nearest(std::string(5000, 'x'), kWords), "");
  EXPECT_EQ(did_you_mean("banana", kWords), "");
  EXPECT_EQ(did_you_mean("edi", kWords), "; did you mean 'edit'?");
}

}  // namespace
}  // namespace icedit
