#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "flux_modules.h"
#include "models/flux/names.h"

namespace icedit {
namespace {

TEST(FluxNames, AreThoseOfTheGoldens) {
  ASSERT_FALSE(flux_modules().empty());
  for (const auto& [bfl, diffusers] : flux_modules())
    EXPECT_EQ(diffusers_modules(bfl), diffusers) << bfl;
}

TEST(FluxNames, ThereAndBack) {
  std::set<std::string> seen;
  for (const auto& [name, unused] : flux_modules()) {
    std::string bfl = name;
    // Full size has blocks of two digits.
    if (const size_t first = bfl.find(".0."); first != bfl.npos) bfl.replace(first, 3, ".37.");
    const std::vector<std::string> diffusers = diffusers_modules(bfl);
    ASSERT_FALSE(diffusers.empty()) << bfl;
    for (size_t i = 0; i < diffusers.size(); ++i) {
      EXPECT_TRUE(seen.insert(diffusers[i]).second) << diffusers[i] << " twice";
      const auto part = bfl_part(diffusers[i]);
      ASSERT_TRUE(part) << diffusers[i];
      EXPECT_EQ(part->module, bfl);
      EXPECT_EQ(part->part, i);
      EXPECT_EQ(part->parts, diffusers.size());
    }
  }
}

TEST(FluxNames, Underscores) {
  for (const auto& [bfl, diffusers] : flux_modules()) {
    for (std::string name : diffusers) {
      const std::string dotted = name;
      std::replace(name.begin(), name.end(), '.', '_');
      EXPECT_EQ(with_dots(name), dotted);
    }
    std::string name = bfl;
    std::replace(name.begin(), name.end(), '.', '_');
    EXPECT_EQ(with_dots(name), bfl);
  }
  for (const std::string unknown :
       {"", "double_blocks_", "double_blocks_0", "double_blocks_x_img_attn_qkv",
        "double_blocks_0_img_attn", "down_blocks_0_attn", "single_blocks_0_linear3"}) {
    EXPECT_EQ(with_dots(unknown), "") << unknown;
  }
}

TEST(FluxNames, UnknownNamesHaveNoCounterpart) {
  for (const std::string name : {"", ".", "double_blocks", "double_blocks.0", "double_blocks.0.",
                                 "double_blocks..img_mod.lin", "double_blocks.a.img_mod.lin",
                                 "transformer_blocks.0.attn.to_q", "img_in.weight"}) {
    EXPECT_TRUE(diffusers_modules(name).empty()) << name;
  }
  EXPECT_FALSE(bfl_part("double_blocks.0.img_attn.qkv"));
  EXPECT_FALSE(bfl_part("transformer_blocks.0.attn"));
}

TEST(FluxNames, RowsOfParts) {
  const auto ends = [](const std::vector<RowRange>& rows) {
    std::vector<int64_t> found;
    for (const auto& r : rows) found.push_back(r.end);
    return found;
  };
  EXPECT_EQ(ends(part_rows(1, 7, 32)), (std::vector<int64_t>{7}));
  EXPECT_EQ(ends(part_rows(3, 96, 32)), (std::vector<int64_t>{32, 64, 96}));
  EXPECT_EQ(ends(part_rows(4, 224, 32)), (std::vector<int64_t>{32, 64, 96, 224}));
  for (const auto& [parts, rows, hidden] :
       std::vector<std::tuple<size_t, int64_t, int64_t>>{{3, 95, 32},
                                                         {3, 97, 32},
                                                         {4, 96, 32},
                                                         {4, 90, 32},
                                                         {3, 0, 0},
                                                         {3, 9, -3},
                                                         {3, 3, int64_t{1} << 62}}) {
    EXPECT_TRUE(part_rows(parts, rows, hidden).empty()) << parts << " " << rows << " " << hidden;
  }
}

}  // namespace
}  // namespace icedit
