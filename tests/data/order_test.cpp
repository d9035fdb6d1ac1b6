#include "data/order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "base/error.h"
#include "golden.h"

namespace icedit {
namespace {

std::vector<int64_t> whole_epoch(const RowOrder& order, int64_t epoch) {
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < order.batches_per_epoch(); ++i)
    for (const int64_t row : order.batch(epoch, i)) rows.push_back(row);
  return rows;
}

std::vector<int64_t> sorted(std::vector<int64_t> rows) {
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::vector<int64_t> counted(int64_t n) {
  std::vector<int64_t> rows(n);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// Runs go on after an update of the program: these numbers stay.
TEST(DrawStream, IsFrozen) {
  DrawStream draws(DrawPurpose::kPrompt, {666, 1, 2, 3});
  EXPECT_EQ(draws.next(), 8957421140836232989u);
  EXPECT_EQ(draws.next(), 10760229605870311600u);
  EXPECT_EQ(generator_seed(DrawPurpose::kNoise, {666, 0, 0, 0}), 15306498316598770483u);
}

TEST(DrawStream, EveryPlaceHasItsOwn) {
  std::set<uint64_t> seen;
  for (const auto purpose : {DrawPurpose::kOrder, DrawPurpose::kPrompt, DrawPurpose::kNoise})
    for (int64_t epoch = 0; epoch < 4; ++epoch)
      for (int64_t index = 0; index < 40; ++index)
        for (int64_t slot = 0; slot < 4; ++slot)
          for (const uint64_t seed : {0, 1, 666})
            seen.insert(DrawStream(purpose, {seed, epoch, index, slot}).next());
  EXPECT_EQ(seen.size(), 3u * 4 * 40 * 4 * 3);
}

TEST(DrawStream, IsUniform) {
  DrawStream draws(DrawPurpose::kOrder, {1});
  double sum = 0;
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) {
    const double x = draws.random();
    ASSERT_TRUE(x >= 0 && x < 1);
    sum += x;
    ++counts.at(draws.choice(7));
  }
  EXPECT_NEAR(sum / 70'000, 0.5, 0.005);
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 400);
}

TEST(RowOrder, ReferenceIsDataLoaders) {
  std::ifstream file(golden::path("random/python.json"));
  const auto goldens = nlohmann::json::parse(file);
  for (const auto& [seed, golden] : goldens.items()) {
    const auto want = golden["dataloader_shuffle_23"].get<std::vector<int64_t>>();
    EXPECT_EQ(reference_order(23, std::stoull(seed), 0), want);
    const RowOrder order(
        {.rows = 23, .batch_size = 1, .seed = std::stoull(seed), .draws = DrawMode::kReference});
    EXPECT_EQ(whole_epoch(order, 0), want);
    EXPECT_NE(whole_epoch(order, 1), want);
    EXPECT_EQ(sorted(whole_epoch(order, 1)), counted(23));
  }
}

TEST(RowOrder, EveryEpochIsAnotherPermutation) {
  const RowOrder order({.rows = 101, .batch_size = 4, .seed = 3});
  EXPECT_EQ(order.batches_per_epoch(), 26);
  EXPECT_EQ(order.batch(0, 25).size(), 1u);
  std::set<std::vector<int64_t>> seen;
  for (int64_t epoch = 0; epoch < 5; ++epoch) {
    const auto rows = whole_epoch(order, epoch);
    EXPECT_EQ(sorted(rows), counted(101));
    seen.insert(rows);
  }
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_NE(whole_epoch(RowOrder({.rows = 101, .batch_size = 4, .seed = 4}), 0), *seen.begin());
}

TEST(RowOrder, AsksMayComeInAnyOrder) {
  const OrderOptions options = {.rows = 50, .batch_size = 3, .seed = 9};
  const RowOrder order(options);
  for (const int64_t epoch : {7, 0, 3, 7, 1000, 2}) {
    const RowOrder fresh(options);
    for (const int64_t index : {16, 0, 5})
      EXPECT_EQ(order.batch(epoch, index), fresh.batch(epoch, index));
  }
  EXPECT_THROW(order.batch(0, 17), std::out_of_range);
}

TEST(RowOrder, WithoutShufflingRowsStandAsTheyAre) {
  EXPECT_EQ(whole_epoch(RowOrder({.rows = 10, .batch_size = 3, .shuffle = false}), 5), counted(10));
}

TEST(RowOrder, BucketsDoNotMix) {
  std::vector<int32_t> buckets;
  for (int i = 0; i < 60; ++i) buckets.push_back(i % 7 == 0 ? 2 : i % 3 == 0 ? 0 : 5);
  const RowOrder order({.rows = 60, .batch_size = 4, .seed = 1, .buckets = buckets});
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    EXPECT_EQ(sorted(whole_epoch(order, epoch)), counted(60));
    for (int64_t i = 0; i < order.batches_per_epoch(); ++i) {
      const auto rows = order.batch(epoch, i);
      for (const int64_t row : rows) EXPECT_EQ(buckets[row], buckets[rows[0]]);
    }
  }
  for (int64_t row = 0; row < 60; ++row)
    for (int64_t attempt = 0; attempt < 5; ++attempt)
      EXPECT_EQ(buckets[order.replacement({1, 0, row, 0}, row, attempt)], buckets[row]);
}

TEST(RowOrder, WrongSizesAreErrors) {
  EXPECT_THROW(RowOrder({.rows = 0, .batch_size = 1}), DataError);
  EXPECT_THROW(RowOrder({.rows = 5, .batch_size = 0}), UsageError);
}

}  // namespace
}  // namespace icedit
