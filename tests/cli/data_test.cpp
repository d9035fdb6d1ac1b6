// icedit data as it is called: what it prints, what it writes, how it ends.
#include "cli/data.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/command.h"
#include "data/parquet_writer.h"
#include "edit/diptych.h"
#include "io/temporary_folder.h"
#include "train/config.h"

namespace icedit::cli {
namespace {

using nlohmann::json;

struct Ran {
  int code;
  std::string out;
};

Ran run(const Arguments& arguments) {
  ::testing::internal::CaptureStdout();
  int code = -1;
  try {
    code = run_data(arguments);
  } catch (...) {
    ::testing::internal::GetCapturedStdout();
    throw;
  }
  return {code, ::testing::internal::GetCapturedStdout()};
}

class Data : public ::testing::Test {
 protected:
  Data() {
    write_magicbrush(folder_ / "set.parquet", 9);
    folder_.write("run.yaml", str("flux_path: nano\ntrain:\n  batch_size: 2\n  seed: 5\n",
                                  "  dataset: {type: edit, path: ", file("set.parquet"),
                                  ", condition_size: 32, target_size: 32, drop_text_prob: 0.4, "
                                  "crop_the_noise: false}\n",
                                  "  lora_config: {target_modules: all-linear}\n"));
  }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }

  TemporaryFolder folder_;
};

TEST_F(Data, ShowGivesWhatTheTrainersLoaderGives) {
  for (const std::string draws : {"keyed", "reference"}) {
    const Ran ran = run({"show", file("run.yaml"), "--index", "3", "--count", "4", "--json",
                         "--set", "train.draws=" + draws});
    ASSERT_EQ(ran.code, 0);
    const json samples = json::parse(ran.out)["samples"];
    const TrainConfig config = read_config(file("run.yaml"), {"train.draws=" + draws});
    const EditDataset dataset(config.dataset);
    Quarantine quarantine(Path(), 0);
    Loader loader(dataset, loader_options(config, dataset), quarantine);
    for (int i = 0; i < 3; ++i) loader.next();
    size_t at = 0, dropped = 0;
    for (int i = 3; i < 7; ++i) {  // into the second epoch: there are five micro-batches
      const TrainBatch batch = loader.next();
      for (size_t slot = 0; slot < batch.rows.size(); ++slot, ++at) {
        EXPECT_EQ(samples.at(at)["row"], batch.rows[slot]);
        EXPECT_EQ(samples.at(at)["prompt"], batch.descriptions[slot]);
        EXPECT_EQ(samples.at(at)["epoch"], i / 5);
        EXPECT_EQ(samples.at(at)["index"], i % 5);
        dropped += samples.at(at)["dropped"].get<bool>();
      }
    }
    EXPECT_EQ(samples.size(), at);
    EXPECT_GT(dropped, 0u);
  }
}

TEST_F(Data, ShowDrawsDiptychAndMask) {
  const Ran ran = run(
      {"show", file("run.yaml"), "-o", file("s.png"), "--set", "train.dataset.drop_text_prob=0"});
  EXPECT_NE(ran.out.find(std::string(kPromptPrefix) + "edit "), std::string::npos) << ran.out;
  const TrainConfig config = read_config(file("run.yaml"), {});
  const EditDataset dataset(config.dataset);
  Quarantine quarantine(Path(), 0);
  Loader loader(dataset, loader_options(config, dataset), quarantine);
  const TrainBatch batch = loader.next();
  const EncodedSample first = dataset.read(batch.rows[0]);
  const Image source = decode_image(first.source, "source"), grid = read_image(file("s.png"));
  // Somewhere in the picture stand the source's pixels, and a white square of its size right of a
  // black one.
  const auto stands = [&](int left, int top, const auto& pixel) {
    for (int y = 0; y < 32; ++y)
      for (int x = 0; x < 32; ++x)
        if (!std::equal(grid.at(left + x, top + y), grid.at(left + x, top + y) + 3, pixel(x, y)))
          return false;
    return true;
  };
  const uint8_t black[3] = {0, 0, 0}, white[3] = {255, 255, 255};
  bool found = false;
  for (int top = 0; top + 32 <= grid.height && !found; ++top)
    for (int left = 0; left + 132 <= grid.width && !found; ++left)
      found = stands(left, top, [&](int x, int y) { return source.at(x, y); }) &&
              stands(left + 68, top, [&](int, int) { return black; }) &&
              stands(left + 100, top, [&](int, int) { return white; });
  EXPECT_TRUE(found) << grid.width << "x" << grid.height;
  EXPECT_THROW(run({"show", file("run.yaml"), "-o", file("s.png")}), UsageError);
  EXPECT_EQ(run({"show", file("run.yaml"), "-o", file("s.png"), "--force"}).code, 0);
}

TEST_F(Data, ShowTakesXflConfig) {
  EXPECT_THROW(run({"show"}), UsageError);
  setenv("XFL_CONFIG", file("run.yaml").c_str(), 1);
  EXPECT_EQ(run({"show"}).code, 0);
  setenv("XFL_CONFIG", "", 1);
  EXPECT_THROW(run({"show"}), UsageError);
  unsetenv("XFL_CONFIG");
}

TEST_F(Data, CheckTakesAConfigurationOrFiles) {
  EXPECT_NE(run({"check", file("run.yaml")}).out.find("9 rows"), std::string::npos);
  EXPECT_NE(run({"check", file("*.parquet"), file("set.parquet")}).out.find("18 rows"),
            std::string::npos);
  const std::string omni = (Path(ICEDIT_GOLDENS) / "dataset/omniedit.parquet").string();
  const json report = json::parse(run({"check", omni, "--json", "--threads", "1"}).out);
  EXPECT_EQ(report["rows"], 8);
  EXPECT_EQ(report["tasks"]["removal"], 2);
  write_magicbrush(folder_ / "bad.parquet", 4, {2});
  const Ran bad = run({"check", file("bad.parquet"), "--json"});
  EXPECT_EQ(bad.code, 1);
  EXPECT_EQ(json::parse(bad.out)["unreadable"]["count"], 1);
}

TEST_F(Data, CheckSaysWhatItCannotTake) {
  const auto error = [](const Arguments& arguments) {
    return error_of<UsageError>([&] { run(arguments); });
  };
  EXPECT_NE(error({"check", file("none*.parquet")}).find("matches no file"), std::string::npos);
  EXPECT_NE(error({"check", file("set.parquet"), "--type", "edits"}).find("edit_mask"),
            std::string::npos);
  EXPECT_NE(error({"check", file("run.yaml"), "--type", "edit"}).find("train.dataset.type"),
            std::string::npos);
  EXPECT_NE(error({"check", file("set.parquet"), "--set", "train.seed=1"}).find("--set"),
            std::string::npos);
  EXPECT_NE(error({"check", file("set.parquet"), "--type", "edit_with_omini"}).find("two sets"),
            std::string::npos);
  EXPECT_NE(error({"check", file("set.parquet"), "--split", "dev"}).find("'dev'"),
            std::string::npos);
  EXPECT_NE(error_of<DataError>([&] {
              run({"check", file("set.parquet"), "--type", "omini"});
            }).find("src_img"),
            std::string::npos);
  EXPECT_NE(error({"chek"}).find("did you mean 'check'"), std::string::npos);
}

TEST_F(Data, PackAndCheckAFolder) {
  folder_.write("pairs/a_source.png", numbered_png(1));
  folder_.write("pairs/a_target.png", numbered_png(2));
  folder_.write("pairs/a.txt", "edit a");
  const json packed =
      json::parse(run({"pack", file("pairs"), "-o", file("p.parquet"), "--json"}).out);
  EXPECT_EQ(packed["rows"], 1);
  EXPECT_EQ(packed["bytes"], std::filesystem::file_size(file("p.parquet")));
  EXPECT_NE(run({"check", file("p.parquet")}).out.find("1 row,"), std::string::npos);
  EXPECT_NE(run({"check", file("pairs")}).out.find("1 row,"), std::string::npos);  // by itself
  EXPECT_THROW(run({"pack", file("pairs"), "-o", file("p.parquet")}), UsageError);
  EXPECT_THROW(run({"pack", file("pairs"), "-o", file("p.txt")}), UsageError);
  EXPECT_THROW(run({"pack", file("pairs")}), UsageError);
  EXPECT_THROW(run({"pack", file("nowhere"), "-o", file("q.parquet")}), NoInputError);
  folder_.write("pairs/b_source.png", "x");
  folder_.write("pairs/b_target.png", numbered_png(2));
  folder_.write("pairs/b.txt", "edit b");
  EXPECT_EQ(run({"pack", file("pairs"), "-o", file("p.parquet"), "-f"}).code, 1);
  EXPECT_FALSE(std::filesystem::exists(file("q.parquet")));
}

TEST_F(Data, FetchPrintsCommands) {
  setenv("HF_HUB_CACHE", file("cache").c_str(), 1);
  const Ran text = run({"fetch", "--folder", file("parquet")});
  EXPECT_EQ(text.code, 0);
  EXPECT_NE(text.out.find("hf download osunlp/MagicBrush --repo-type dataset\n"), std::string::npos)
      << text.out;
  write_magicbrush(folder_ / "parquet/train-00000-of-00105.parquet", 2);
  folder_.write("parquet/train-00001-of-00105.parquet", "PAR1");
  const Ran ran = run({"fetch", "omniedit", "--folder", file("parquet"), "--json"});
  EXPECT_EQ(ran.code, 1);
  const json sets = json::parse(ran.out)["sets"];
  EXPECT_EQ(sets.size(), 2u);
  EXPECT_EQ(sets[0]["splits"][0]["there"], 1);
  EXPECT_EQ(sets[0]["splits"][0]["missing"].size(), 104u);
  EXPECT_EQ(sets[0]["damaged"].size(), 1u);
  EXPECT_FALSE(sets[0]["whole"].get<bool>());
  unsetenv("HF_HUB_CACHE");
}

}  // namespace
}  // namespace icedit::cli
