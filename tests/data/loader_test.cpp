#include "data/loader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "base/error.h"
#include "data/buckets.h"
#include "golden.h"
#include "io/temporary_folder.h"
#include "parquet_writer.h"

namespace icedit {
namespace {

DatasetConfig config_of(const Path& path) {
  DatasetConfig config;
  config.type = DatasetType::kEdit;
  config.path = {path.string()};
  config.condition_size = config.target_size = 16;
  config.drop_text_prob = 0.3;
  return config;
}

// Row k of the pictures is told by the red of the source's first pixel.
int row_of(const TrainBatch& batch, int64_t slot) {
  return int(std::lround(batch.image[slot][0][0][0].item<double>() * 255)) / 2;
}

std::vector<TrainBatch> take(const EditDataset& dataset, const LoaderOptions& options, int count,
                             Quarantine* quarantine = nullptr) {
  Quarantine own({}, 1000);
  Loader loader(dataset, options, quarantine ? *quarantine : own);
  std::vector<TrainBatch> batches;
  for (int i = 0; i < count; ++i) batches.push_back(loader.next());
  return batches;
}

void expect_same(const TrainBatch& a, const TrainBatch& b) {
  EXPECT_EQ(a.number, b.number);
  EXPECT_EQ(a.key.epoch, b.key.epoch);
  EXPECT_EQ(a.key.index, b.key.index);
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.descriptions, b.descriptions);
  EXPECT_EQ(a.dropped, b.dropped);
  EXPECT_EQ(a.where, b.where);
  EXPECT_TRUE(golden::equal(a.image, b.image));
  EXPECT_TRUE(golden::equal(a.mask, b.mask));
}

class LoaderTest : public ::testing::Test {
 protected:
  LoaderTest() {
    write_magicbrush(folder_ / "good.parquet", 11);
    write_magicbrush(folder_ / "bad.parquet", 11, {2, 7});
  }
  EditDataset good() const { return EditDataset(config_of(folder_ / "good.parquet")); }
  EditDataset bad() const { return EditDataset(config_of(folder_ / "bad.parquet")); }

  TemporaryFolder folder_;
};

TEST_F(LoaderTest, ABatchIsWhatTheModelReads) {
  const EditDataset dataset = good();
  const auto batches = take(dataset, {.batch_size = 3, .workers = 1}, 4);
  const TrainBatch& batch = batches[0];
  EXPECT_EQ(batch.image.sizes(), (std::vector<int64_t>{3, 3, 16, 32}));
  EXPECT_EQ(batch.image.scalar_type(), at::kFloat);
  EXPECT_EQ(batch.mask.sizes(), (std::vector<int64_t>{3, 1, 16, 32}));
  EXPECT_EQ(batch.mask.slice(3, 0, 16).sum().item<double>(), 0);
  EXPECT_TRUE((batch.mask.slice(3, 16, 32) == 1).all().item<bool>());
  EXPECT_EQ(batches[3].image.size(0), 2);  // 11 rows
  std::multiset<int> seen;
  for (const TrainBatch& b : batches)
    for (int64_t slot = 0; slot < b.image.size(0); ++slot) {
      EXPECT_EQ(row_of(b, slot), b.rows[slot]);
      EXPECT_EQ(b.image[slot][0][0][31].item<float>(), float(2 * b.rows[slot] + 1) / 255);
      EXPECT_EQ(b.descriptions[slot],
                b.dropped[slot] ? " " : dataset.rules(0).prefix + str("edit ", b.rows[slot]));
      seen.insert(row_of(b, slot));
    }
  EXPECT_EQ(seen.size(), 11u);
  EXPECT_EQ(std::set<int>(seen.begin(), seen.end()).size(), 11u);
}

TEST_F(LoaderTest, TheNumberOfThreadsChangesNothing) {
  const EditDataset dataset = bad();
  for (const auto draws : {DrawMode::kKeyed, DrawMode::kReference}) {
    LoaderOptions options = {.batch_size = 2, .workers = 0, .seed = 5, .draws = draws};
    const auto want = take(dataset, options, 20);
    for (const int workers : {1, 2, 7}) {
      options.workers = workers;
      options.ahead = workers;
      const auto got = take(dataset, options, 20);
      for (size_t i = 0; i < want.size(); ++i) expect_same(got[i], want[i]);
    }
  }
}

TEST_F(LoaderTest, RanksShareOneStream) {
  const EditDataset dataset = bad();
  const auto whole = take(dataset, {.batch_size = 2, .workers = 2}, 24);
  EXPECT_EQ(whole[6].key.epoch, 1);
  EXPECT_EQ(whole[6].key.index, 0);
  for (const int world : {2, 3})
    for (int rank = 0; rank < world; ++rank) {
      const auto part = take(
          dataset, {.batch_size = 2, .workers = 2, .rank = rank, .world_size = world}, 24 / world);
      for (size_t i = 0; i < part.size(); ++i) expect_same(part[i], whole[i * world + rank]);
    }
}

TEST_F(LoaderTest, ARunGoesOnAnywhereWithAnyNumberOfRanks) {
  const EditDataset dataset = good();
  const auto whole = take(dataset, {.batch_size = 2, .workers = 1}, 30);
  Quarantine quarantine({}, 0);
  Loader first(dataset, {.batch_size = 2, .workers = 3, .rank = 1, .world_size = 2}, quarantine);
  for (int i = 0; i < 5; ++i) first.next();
  EXPECT_EQ(first.position(), 10);
  std::set<int64_t> seen;
  for (int rank = 0; rank < 3; ++rank)
    for (const TrainBatch& batch : take(dataset,
                                        {.batch_size = 2,
                                        .workers = 1,
                                        .rank = rank,
                                        .world_size = 3,
                                        .start = first.position()},
                                        4)) {
      seen.insert(batch.number);
      expect_same(batch, whole[batch.number]);
    }
  EXPECT_EQ(seen.size(), 12u);
  EXPECT_EQ(*seen.begin(), 10);
  EXPECT_EQ(*seen.rbegin(), 21);
}

TEST_F(LoaderTest, ReferenceDrawsGoOnFromTheirState) {
  const EditDataset dataset = good();
  const LoaderOptions options = {.batch_size = 2, .workers = 2, .draws = DrawMode::kReference};
  const auto whole = take(dataset, options, 16);
  Quarantine quarantine({}, 0);
  LoaderOptions later = options;
  std::vector<int64_t> state;
  {
    Loader first(dataset, options, quarantine);
    for (int i = 0; i < 7; ++i) first.next();
    state = first.draw_state();
    later.start = first.position();
  }
  Loader second(dataset, later, quarantine);
  second.set_draw_state(state);
  for (size_t i = 7; i < whole.size(); ++i) expect_same(second.next(), whole[i]);
  EXPECT_TRUE(Loader(dataset, {}, quarantine).draw_state().empty());
}

TEST_F(LoaderTest, BadRowsAreListedOnceAndReplaced) {
  const EditDataset dataset = bad();
  const Path list = folder_ / "run/quarantine.jsonl";
  Quarantine quarantine(list, 2);
  for (const TrainBatch& batch : take(dataset, {.batch_size = 3, .workers = 2}, 12, &quarantine)) {
    EXPECT_GE(batch.image.size(0), 2);
    for (int64_t slot = 0; slot < batch.image.size(0); ++slot) {
      EXPECT_NE(row_of(batch, slot), 2);
      EXPECT_NE(row_of(batch, slot), 7);
    }
  }
  EXPECT_EQ(quarantine.rows().size(), 2u);
  const std::string text = read_file(list);
  EXPECT_NE(text.find("bad.parquet: row 2"), std::string::npos);
  EXPECT_NE(text.find("bad.parquet: row 7"), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);

  // The next run knows them, and appends nothing.
  Quarantine again(list, 2);
  take(dataset, {.batch_size = 3, .workers = 2}, 12, &again);
  EXPECT_EQ(read_file(list), text);
}

TEST_F(LoaderTest, TooManyBadRowsEndTheRunWithTheList) {
  const EditDataset dataset = bad();
  Quarantine quarantine(folder_ / "quarantine.jsonl", 1);
  const std::string error =
      error_of<DataError>([&] { take(dataset, {.batch_size = 3, .workers = 2}, 12, &quarantine); });
  EXPECT_NE(error.find("2 rows cannot be read, train.max_bad_rows allows 1: "), std::string::npos)
      << error;
  EXPECT_NE(error.find("quarantine.jsonl"), std::string::npos) << error;
}

TEST_F(LoaderTest, ADataSetWithoutAGoodRowIsAnError) {
  write_magicbrush(folder_ / "none.parquet", 3, {0, 1, 2});
  const EditDataset dataset(config_of(folder_ / "none.parquet"));
  for (const int workers : {0, 2})
    EXPECT_NE(error_of<DataError>([&] {
                take(dataset, {.workers = workers}, 1);
              }).find("cannot be read, the last: "),
              std::string::npos);
}

TEST_F(LoaderTest, ALoaderMayEndAtAnyTime) {
  const EditDataset dataset = good();
  for (int i = 0; i < 20; ++i) take(dataset, {.batch_size = 2, .workers = 4, .ahead = 8}, i % 4);
}

TEST_F(LoaderTest, NoMoreIsReadAheadThanAllowed) {
  const EditDataset dataset = good();
  Quarantine quarantine({}, 0);
  write_magicbrush(folder_ / "good.parquet", 12);  // every row read from now on is an error
  Loader loader(dataset, {.batch_size = 1, .workers = 3, .ahead = 2}, quarantine);
  EXPECT_NE(error_of<DataError>([&] { loader.next(); }).find("has changed"), std::string::npos);
}

TEST_F(LoaderTest, WrongOptionsAreErrors) {
  const EditDataset dataset = good();
  Quarantine quarantine({}, 0);
  EXPECT_THROW(Loader(dataset, {.batch_size = 0}, quarantine), UsageError);
  EXPECT_THROW(Loader(dataset, {.workers = -1}, quarantine), UsageError);
}

TEST(Quarantine, ACutOffListIsReadAsFarAsItGoes) {
  const TemporaryFolder folder;
  const Path list = folder.write(
      "q.jsonl", "{\"row\":\"a: row 1\",\"reason\":\"x\"}\nnonsense\n{\"row\":5}\n{\"ro");
  Quarantine quarantine(list, 10);
  EXPECT_EQ(quarantine.rows(), std::vector<std::string>{"a: row 1"});
  quarantine.add("a: row 1", "again");
  quarantine.add("b: row 2", "bytes \xff that are no text");
  EXPECT_EQ(quarantine.rows().size(), 2u);
  EXPECT_EQ(Quarantine(list, 10).rows().size(), 2u);
}

TEST(Buckets, AreOfAboutOneAreaAndEveryShape) {
  const auto buckets = bucket_sizes(512);
  EXPECT_GT(buckets.size(), 10u);
  for (const Size& size : buckets) {
    EXPECT_EQ(size.width % 16, 0);
    EXPECT_EQ(size.height % 16, 0);
    EXPECT_LE(size.width * size.height, 512 * 512);
    EXPECT_GT(size.width * size.height, 0.9 * 512 * 512);
  }
  EXPECT_EQ(buckets[nearest_bucket(buckets, {100, 100})], (Size{512, 512}));
  const Size wide = buckets[nearest_bucket(buckets, {4000, 1000})];
  EXPECT_GT(double(wide.width) / wide.height, 1.8);
  const Size photo = buckets[nearest_bucket(buckets, {3000, 2000})];
  EXPECT_NEAR(double(photo.width) / photo.height, 1.5, 0.08);
  EXPECT_EQ(bucket_sizes(16).size(), 1u);
  EXPECT_THROW(bucket_sizes(15), UsageError);
}

TEST(Buckets, PicturesKeepTheirShape) {
  const TemporaryFolder folder;
  WrittenColumn sources = {"source_img", WrittenColumn::kBinary, {}},
                targets = {"target_img", WrittenColumn::kBinary, {}};
  WrittenColumn texts = {"instruction", WrittenColumn::kString, {}};
  for (int k = 0; k < 12; ++k) {
    const bool wide = k % 3 == 0;
    const std::string png = numbered_png(2 * k, wide ? 90 : 40, wide ? 45 : 60);
    sources.cells.push_back(k == 5 ? "broken" : png);
    targets.cells.push_back(png);
    texts.cells.push_back("x");
  }
  write_parquet(folder / "x.parquet", {sources, targets, texts});
  DatasetConfig config = config_of(folder / "x.parquet");
  config.condition_size = 64;
  config.resize = ResizeMode::kBucket;
  const EditDataset dataset(config);
  LoaderOptions options = {.batch_size = 3, .workers = 2};
  options.bucket_sizes = bucket_sizes(64);
  options.buckets = assign_buckets(dataset, options.bucket_sizes);
  int wide = 0;
  for (const TrainBatch& batch : take(dataset, options, 6)) {
    const double ratio = double(batch.image.size(3)) / 2 / double(batch.image.size(2));
    for (const int64_t row : batch.rows) EXPECT_EQ(row % 3 == 0, ratio > 1.5) << row;
    wide += ratio > 1.5;
  }
  EXPECT_EQ(wide, 2);
}

}  // namespace
}  // namespace icedit
