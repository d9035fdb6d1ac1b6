#include "data/published.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/error.h"
#include "io/temporary_folder.h"
#include "parquet_writer.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class Published : public ::testing::Test {
 protected:
  Published() { setenv("HF_HUB_CACHE", (folder_ / "cache").c_str(), 1); }
  ~Published() override { unsetenv("HF_HUB_CACHE"); }

  void shard(const std::string& name) const { write_magicbrush(folder_ / name, 2); }
  // A file of that length only, as a download that was cut off leaves it.
  void cut(const std::string& name) const {
    const std::string bytes = read_file(folder_ / name);
    folder_.write(name, bytes.substr(0, bytes.size() / 2));
  }
  SetState state_of(const std::string& name, size_t which = 0, bool all = false) const {
    return look_for(published_sets({name}, all).at(which), folder_ / "parquet");
  }
  // Of MagicBrush in the cache.
  std::string cached(const std::string& name) const {
    folder_.write("cache/datasets--osunlp--MagicBrush/refs/main", "abc123");
    return "cache/datasets--osunlp--MagicBrush/snapshots/abc123/data/" + name;
  }

  TemporaryFolder folder_;
};

TEST_F(Published, NothingIsThere) {
  const SetState magicbrush = state_of("MagicBrush");
  ASSERT_EQ(magicbrush.commands.size(), 1u);
  EXPECT_EQ(magicbrush.commands[0], "hf download osunlp/MagicBrush --repo-type dataset");
  const SetState mini = state_of("omniedit", 0), part = state_of("omniedit", 1);
  const std::string folder = (folder_ / "parquet").string();
  EXPECT_EQ(mini.commands.at(0),
            "hf download sayakpaul/OmniEdit-mini --repo-type dataset --include "
            "'data/train-*.parquet' --local-dir " +
                folder);
  EXPECT_EQ(mini.commands.at(1), "mv " + folder + "/data/*.parquet " + folder);
  EXPECT_TRUE(has(part.commands.at(0), " data/train-00570-of-00571.parquet --repo-type dataset"))
      << part.commands[0];
  const SetState all = state_of("omniedit", 0, /*all=*/true);
  EXPECT_TRUE(has(all.commands.at(0),
                  "hf download TIGER-Lab/OmniEdit-Filtered-1.2M --repo-type dataset --include"));
}

TEST_F(Published, MissingShardsAreNamed) {
  for (int i = 0; i < 105; ++i)
    if (i != 7 && i != 30) {
      char name[64];
      std::snprintf(name, sizeof name, "parquet/train-%05d-of-00105.parquet", i);
      if (i == 0) shard("one.parquet");
      fs::create_directories(folder_ / "parquet");
      fs::copy_file(folder_ / "one.parquet", folder_ / name);
    }
  const SetState mini = state_of("omniedit");
  ASSERT_EQ(mini.found.shards.size(), 1u);
  EXPECT_EQ(mini.found.shards[0].missing(), (std::vector<int64_t>{7, 30}));
  EXPECT_EQ(mini.found.rows, 206);
  EXPECT_TRUE(has(mini.commands.at(0),
                  "hf download sayakpaul/OmniEdit-mini data/train-00007-of-00105.parquet "
                  "data/train-00030-of-00105.parquet --repo-type dataset --local-dir"));
  for (const char* name : {"7", "30"}) {
    const std::string file = str("parquet/data/train-000", name[1] ? "" : "0", name,
                                 "-of-00105.parquet");  // below is found too
    shard(file);
  }
  EXPECT_TRUE(state_of("omniedit").commands.empty());
  EXPECT_EQ(state_of("omniedit", 1).found.rows, 0);  // files of another count are another set's
}

TEST_F(Published, TheCacheIsLookedThrough) {
  shard(cached("train-00000-of-00002-22f1ba147418678e.parquet"));
  shard(cached("dev-00000-of-00001-384b81a61c93b7e3.parquet"));
  SetState state = state_of("magicbrush");
  ASSERT_EQ(state.found.shards.size(), 2u);
  EXPECT_EQ(state.commands.size(), 1u);
  shard(cached("train-00001-of-00002-7faee572c1afc865.parquet"));
  state = state_of("magicbrush");
  EXPECT_TRUE(state.commands.empty());
  EXPECT_EQ(state.found.rows, 6);
}

TEST_F(Published, FilesThatWereCutOff) {
  const std::string second = cached("train-00001-of-00002-aa.parquet");
  shard(cached("train-00000-of-00002-bb.parquet"));
  shard(second);
  EXPECT_TRUE(state_of("magicbrush").commands.empty());
  cut(second);
  const SetState state = state_of("magicbrush");
  ASSERT_EQ(state.found.damaged.size(), 1u);
  EXPECT_TRUE(has(state.found.damaged[0].where, "train-00001"));
  ASSERT_EQ(state.commands.size(), 2u);
  EXPECT_TRUE(state.commands[0].starts_with("rm ") && has(state.commands[0], "train-00001"));
  EXPECT_EQ(state.found.shards.at(0).missing(), std::vector<int64_t>{1});
}

TEST_F(Published, NamesAndQuotes) {
  EXPECT_EQ(published_sets({}, false).size(), 3u);
  EXPECT_TRUE(has(error_of<UsageError>([] { published_sets({"magicbrus"}, false); }),
                  "did you mean 'magicbrush'"));
  const SetState state = look_for(published_sets({"omniedit"}, false)[0], "my folder/it's");
  EXPECT_TRUE(has(state.commands.at(0), "--local-dir 'my folder/it'\\''s'")) << state.commands[0];
}

TEST(Shards, Ranges) {
  EXPECT_EQ(ranges_text({}), "");
  EXPECT_EQ(ranges_text({4}), "4");
  EXPECT_EQ(ranges_text({0, 1, 2, 5, 7, 8}), "0-2, 5, 7-8");
}

}  // namespace
}  // namespace icedit
