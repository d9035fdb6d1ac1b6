// Latents and embeddings on disk.
#include "train/encoding_cache.h"

#include "tiny_session.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

std::vector<Path> entries(const Path& folder) {
  std::vector<Path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  return files;
}

bool any_encoder(const Residency& residency) {
  return residency.is_loaded(Part::kT5) || residency.is_loaded(Part::kClip) ||
         residency.is_loaded(Part::kVae);
}

NamedTensors made() {
  return {{"a", at::arange(6, at::kFloat).reshape({2, 3})}, {"b", at::ones({1})}};
}

TEST(EncodingCache, KeepsWhatWasMade) {
  const TemporaryFolder folder;
  for (const CacheOptions& options : {CacheOptions{true, ""}, CacheOptions{false, folder / "d"},
                                      CacheOptions{true, folder / "d"}}) {
    EncodingCache cache(options);
    const bool there = options.memory && !options.folder.empty();  // by the one before
    for (int i = 0; i < 3; ++i) {
      expect_equal(cache.get("text", "x", made), made());
      EXPECT_EQ(cache.made(), there ? 0u : 1u);
    }
    EXPECT_EQ(cache.held(), options.memory ? 1u : 0u);
  }
  EncodingCache off{CacheOptions()};
  off.get("text", "x", made), off.get("text", "x", made);
  EXPECT_EQ(off.made(), 2u);
}

TEST(EncodingCache, EveryDamageIsFoundAndMadeGood) {
  const TemporaryFolder folder;
  EncodingCache cache({false, folder / "d"});
  cache.get("text", "x", made);
  const Path file = entries(folder / "d").at(0);
  const std::string whole = read_file(file);
  size_t expected = 1;
  for (size_t at = 0; at < whole.size(); at += 3) {
    std::string bytes = whole;
    bytes[at] = char(bytes[at] ^ 0x04);
    if (at % 2 == 1) bytes.resize(at);
    folder.write(fs::relative(file, folder.path()).string(), bytes);
    expect_equal(cache.get("text", "x", made), made());
    const bool harmless = cache.made() == expected;  // a byte that says nothing: padding
    expected = cache.made();
    EXPECT_TRUE(!harmless || (bytes.size() == whole.size() && whole[at] == ' ')) << at;
  }
  EXPECT_EQ(read_file(file), whole);
}

TEST(EncodingCache, AFolderThatCannotBeIsAnErrorAtOnce) {
  const TemporaryFolder folder;
  folder.write("file", "");
  EXPECT_THROW(EncodingCache({false, folder / "file"}), IoError);
}

TEST(EncodingCache, WeightsThatDifferAreToldApart) {
  const ModelFiles files = Session::model(tiny_config());
  EXPECT_EQ(weights_digest(files.open(Part::kVae)), weights_digest(files.open(Part::kVae)));
  EXPECT_NE(weights_digest(files.open(Part::kVae)), weights_digest(files.open(Part::kT5)));
}

TEST(DiskCache, TrainingIsTheSameAndEncodersAreOnlyThereToFillIt) {
  const NamedTensors want = after(tiny_config({"train.dataset.drop_text_prob=0.5"}), 6);
  const TemporaryFolder folder;
  const auto config = [&](const std::string& more) {
    return tiny_config({"train.dataset.drop_text_prob=0.5",
                        "train.cache_dir=" + (folder / "cache").string(), more});
  };
  const auto expect_same = [&](const TrainConfig& c) {
    Session session(c);
    EXPECT_FALSE(any_encoder(session.residency));
    for (int i = 0; i < 6; ++i) session.trainer.step();
    EXPECT_FALSE(any_encoder(session.residency));
    expect_equal(session.trainer.parameters(), want);
  };
  expect_same(config("train.seed=666"));  // fills it
  const size_t count = entries(folder / "cache").size();
  EXPECT_GT(count, 8u);
  expect_same(config("train.seed=666"));  // finds it
  expect_same(config("train.cache=true"));
  EXPECT_EQ(entries(folder / "cache").size(), count);

  // Some are gone, some are damaged: the encoders come back for them.
  const std::vector<Path> files = entries(folder / "cache");
  for (size_t i = 0; i < files.size(); i += 2) {
    if (i % 4 == 0)
      fs::remove(files[i]);
    else
      fs::resize_file(files[i], fs::file_size(files[i]) - 1);
  }
  Session session(config("train.seed=666"));
  for (int i = 0; i < 6; ++i) session.trainer.step();
  EXPECT_TRUE(any_encoder(session.residency));
  expect_equal(session.trainer.parameters(), want);

  // Another text length, another precision: other entries.
  Session longer(config("train.max_sequence_length=16"));
  EXPECT_GT(entries(folder / "cache").size(), count);
}

TEST(DiskCache, ACacheInMemoryIsFilledBeforehandToo) {
  Session session(tiny_config({"train.cache=true"}));
  EXPECT_FALSE(any_encoder(session.residency));
  session.trainer.step();
  EXPECT_FALSE(any_encoder(session.residency));
}

}  // namespace
}  // namespace icedit
