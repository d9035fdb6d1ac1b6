// Rows, pictures and prompts against the published classes (goldens dataset/).
#include "data/dataset.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "data/loader.h"
#include "data/transform.h"
#include "golden.h"
#include "io/temporary_folder.h"
#include "parquet_writer.h"

namespace icedit {
namespace {

using nlohmann::json;

const std::string kMagicbrush = golden::path("dataset/magicbrush.parquet").string();
const std::string kOmniedit = golden::path("dataset/omniedit.parquet").string();
constexpr int kSize = 64;

DatasetConfig config_of(DatasetType type, const std::string& path) {
  DatasetConfig config;
  config.type = type;
  config.path = {path};
  config.condition_size = config.target_size = kSize;
  return config;
}

json read_json(const std::string& name) {
  std::ifstream file(golden::path(name));
  return json::parse(file);
}

Tensor as_tensor(const Image& image) {
  const auto bytes = at::from_blob(const_cast<uint8_t*>(image.pixels.data()),
                                   {image.height, image.width, image.channels}, at::kByte);
  return (image.channels == 1 ? bytes.squeeze(2) : bytes).clone();
}

void expect_pictures(const DatasetConfig& config, const std::string& file,
                     const std::string& kind) {
  const golden::Tensors goldens = golden::load("dataset/items.safetensors");
  const EditDataset dataset(config);
  ASSERT_EQ(dataset.size(), 8);
  for (int64_t row = 0; row < 8; ++row) {
    const EditSample sample = decode(dataset.read(row));
    const Image diptych =
        training_diptych(sample, dataset.rules(row), HalfSizes::squares(kSize, kSize)).image;
    EXPECT_TRUE(
        golden::equal(as_tensor(diptych), golden::get(goldens, str(file, ".", row, ".", kind))))
        << row;
  }
}

TEST(EditDataset, MagicbrushPicturesAreThePublishedOnes) {
  DatasetConfig config = config_of(DatasetType::kEdit, kMagicbrush);
  expect_pictures(config, "magicbrush", "image");
  config.crop_the_noise = false;
  expect_pictures(config, "magicbrush", "image_no_crop");
  config = config_of(DatasetType::kEditMask, kMagicbrush);
  expect_pictures(config, "magicbrush", "image");
}

TEST(EditDataset, OmnieditPicturesAreThePublishedOnes) {
  expect_pictures(config_of(DatasetType::kOmini, kOmniedit), "omniedit", "image");
}

TEST(EditDataset, TheMaskIsThePublishedOne) {
  const EditDataset dataset(config_of(DatasetType::kEdit, kMagicbrush));
  const Diptych diptych =
      training_diptych(decode(dataset.read(0)), dataset.rules(0), HalfSizes::squares(kSize, kSize));
  EXPECT_TRUE(golden::equal(as_tensor(diptych.mask),
                            golden::get(golden::load("dataset/items.safetensors"), "mask")));
}

TEST(EditDataset, JpegsAreDecodedAsByLibjpegTurbo) {
  const golden::Tensors goldens = golden::load("dataset/items.safetensors");
  const EditDataset magicbrush(config_of(DatasetType::kEdit, kMagicbrush));
  const EditDataset omniedit(config_of(DatasetType::kOmini, kOmniedit));
  int compared = 0;
  for (const auto& [name, tensor] : goldens) {
    if (!name.ends_with(".decoded_source")) continue;
    const EditDataset& dataset = name.starts_with("magicbrush") ? magicbrush : omniedit;
    const int row = name[name.find('.') + 1] - '0';
    Tensor want = tensor;
    if (want.dim() == 2) want = want.unsqueeze(2).expand({want.size(0), want.size(1), 3});
    EXPECT_TRUE(golden::equal(as_tensor(decode(dataset.read(row)).source.image), want)) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 6);
}

TEST(EditDataset, SizesAndPromptsAreThePublishedOnes) {
  const EditDataset magicbrush(config_of(DatasetType::kEdit, kMagicbrush));
  const EditDataset omniedit(config_of(DatasetType::kOmini, kOmniedit));
  for (const json& item : read_json("dataset/items.json")) {
    const EditDataset& dataset = item["file"] == "magicbrush" ? magicbrush : omniedit;
    const int64_t row = item["row"];
    const EncodedSample sample = dataset.read(row);
    const Size source = picture_size(sample.source, "source"),
               target = picture_size(sample.target, "target");
    EXPECT_EQ(source, (Size{item["source"][0], item["source"][1]}));
    EXPECT_EQ(target, (Size{item["target"][0], item["target"][1]}));
    EXPECT_EQ(decode(sample).source.nearest, item["mode"] == "P");
    EXPECT_EQ(dataset.rules(row).condition_type, item["condition_type"]);
    ASSERT_EQ(sample.instructions.size(), item["descriptions"].size());
    for (size_t i = 0; i < sample.instructions.size(); ++i)
      EXPECT_EQ(description(dataset.rules(row), sample.instructions, {i, false}),
                item["descriptions"][i]);
  }
}

// MagicBrush twice stands for its train and dev splits, as in the goldens.
DatasetConfig mixture() {
  DatasetConfig config = config_of(DatasetType::kEditWithOmini, kOmniedit);
  config.magicbrush_path = {kMagicbrush, kMagicbrush};
  return config;
}

TEST(EditDataset, DecisionsAreThePublishedOnesWithAnyNumberOfThreads) {
  const json plans = read_json("dataset/decisions.json");
  for (const auto& [share, plan] : plans.items())
    for (const int workers : {0, 1, 3}) {
      DatasetConfig config = mixture();
      config.drop_text_prob = std::stod(share);
      const EditDataset dataset(config);
      ASSERT_EQ(dataset.size(), 24);
      Quarantine quarantine({}, 0);
      Loader loader(
          dataset,
          {.workers = workers, .seed = 666, .draws = DrawMode::kReference, .shuffle = false},
          quarantine);
      for (const json& decision : plan) {
        const TrainBatch batch = loader.next();
        const int64_t row = batch.rows[0];
        EXPECT_EQ(row, decision["index"]);
        EXPECT_EQ(batch.dropped[0], decision["dropped"].get<bool>()) << row;
        const size_t choice = decision["choice"].is_null() ? 0 : decision["choice"].get<size_t>();
        EXPECT_EQ(batch.descriptions[0],
                  batch.dropped[0]
                      ? " "
                      : dataset.rules(row).prefix + dataset.read(row).instructions[choice]);
        EXPECT_NE(batch.where[0].find(decision["split"] == "omniedit" ? "omniedit" : "magicbrush"),
                  std::string::npos);
      }
    }
}

TEST(EditDataset, EveryClassDropsToItsOwnText) {
  const auto dropped = [](const DatasetConfig& config, int64_t row) {
    const EditDataset dataset(config);
    return description(dataset.rules(row), dataset.read(row).instructions, {0, true});
  };
  EXPECT_EQ(dropped(config_of(DatasetType::kEdit, kMagicbrush), 0), " ");
  EXPECT_EQ(dropped(config_of(DatasetType::kOmini, kOmniedit), 0), "");
  EXPECT_EQ(dropped(config_of(DatasetType::kEditMask, kMagicbrush), 0), " \n ");
  EXPECT_EQ(dropped(mixture(), 0), " ");
  EXPECT_EQ(dropped(mixture(), 23), " ");
}

TEST(EditDataset, TheMaskClassHasItsOwnPrompt) {
  const EditDataset dataset(config_of(DatasetType::kEditMask, kMagicbrush));
  EXPECT_EQ(description(dataset.rules(0), {"add a cat"}, {}),
            "A diptych with two side-by-side images of the same scene. On the right, the scene is "
            "exactly the same as "
            "on the left. \n add a cat");
  EXPECT_EQ(dataset.rules(0).condition_type, "edit_n");
}

TEST(EditDataset, TaskStatistics) {
  EXPECT_EQ(
      EditDataset(mixture()).task_statistics(),
      "removal: 2 data (25.00%)\nstyle: 2 data (25.00%)\nattribute_modification: 1 data (12.50%)\n"
      "env: 1 data (12.50%)\nswap: 1 data (12.50%)\naddition: 1 data (12.50%)");
  EXPECT_EQ(EditDataset(config_of(DatasetType::kEdit, kMagicbrush)).task_statistics(), "");
}

TEST(EditDataset, SpecificTasksAreKept) {
  DatasetConfig config = config_of(DatasetType::kOmini, kOmniedit);
  config.specific_task = {"style", "swap"};
  const EditDataset dataset(config);
  ASSERT_EQ(dataset.size(), 3);
  const char* tasks[] = {"style", "swap", "style"};
  for (int64_t row = 0; row < 3; ++row) EXPECT_EQ(dataset.read(row).task, tasks[row]);
  EXPECT_NE(dataset.where(1).find("row 4"), std::string::npos);
  EXPECT_EQ(dataset.task_statistics(), "style: 2 data (66.67%)\nswap: 1 data (33.33%)");
  config.type = DatasetType::kEditWithOmini;
  config.magicbrush_path = {kMagicbrush};
  EXPECT_EQ(EditDataset(config).size(), 8 + 3);
  config.specific_task = {"removal", "magic"};
  EXPECT_NE(error_of<UsageError>([&] {
              EditDataset{config};
            }).find("of the task 'magic', there are: addition, "),
            std::string::npos);
}

TEST(EditDataset, WrongConfigurationsAreNamed) {
  const auto error = [](auto change) {
    DatasetConfig config = config_of(DatasetType::kEdit, kMagicbrush);
    change(config);
    return error_of<UsageError>([&] { EditDataset{config}; });
  };
  EXPECT_NE(error([](auto& c) { c.condition_size = 0; }).find("condition_size is 0"),
            std::string::npos);
  EXPECT_NE(error([](auto& c) { c.target_size = 100'000; }).find("target_size is 100000"),
            std::string::npos);
  EXPECT_NE(error([](auto& c) { c.drop_text_prob = 1.5; }).find("drop_text_prob is 1.5"),
            std::string::npos);
  EXPECT_NE(error([](auto& c) { c.drop_text_prob = std::nan(""); }), "");
  EXPECT_NE(error([](auto& c) { c.specific_task = {"x"}; }).find("specific_task"),
            std::string::npos);
  EXPECT_NE(error([](auto& c) {
              c.path = {"/nowhere/*.parquet"};
            }).find("'/nowhere/*.parquet' matches no file"),
            std::string::npos);
  EXPECT_NE(error([](auto& c) { c.split = "dev"; }).find("split asks for 'dev'"),
            std::string::npos);
  EXPECT_THROW(choice_value({"type", "edits"}, kDatasetTypes), UsageError);
  EXPECT_THROW(choice_value({"resize", "crop"}, kResizeModes), UsageError);
}

// The pictures of the embedded model, in MagicBrush's columns.
TEST(EditDataset, TheNanoModelsRowsCanBeRead) {
  DatasetConfig config =
      config_of(DatasetType::kEdit, ICEDIT_SOURCE "/models/nano/heldout.parquet");
  config.crop_the_noise = false;
  config.condition_size = config.target_size = 96;
  const EditDataset dataset(config);
  EXPECT_EQ(dataset.size(), 460);
  const EditSample sample = decode(dataset.read(459));
  EXPECT_EQ(training_diptych(sample, dataset.rules(459), HalfSizes::squares(96, 96)).image.width,
            192);
  EXPECT_FALSE(dataset.task_counts().empty());
}

EditSample grey_sample(int width, int height, uint8_t source, uint8_t target) {
  EditSample sample;
  sample.source.image = sample.target.image = Image(width, height);
  std::fill(sample.source.image.pixels.begin(), sample.source.image.pixels.end(), source);
  std::fill(sample.target.image.pixels.begin(), sample.target.image.pixels.end(), target);
  return sample;
}

const RowRules kPlain = {"", "", "edit", /*crop_the_noise=*/false, /*choose=*/false};

TEST(TrainingDiptych, ATargetOfAnotherSizeIsCutOrLeavesBlack) {
  const EditSample sample = grey_sample(10, 10, 50, 100);
  const Image small = training_diptych(sample, kPlain, HalfSizes::squares(8, 4)).image;
  EXPECT_EQ(small.width, 16);
  EXPECT_EQ(small.height, 8);
  EXPECT_EQ(*small.at(7, 7), 50);
  EXPECT_EQ(*small.at(11, 3), 100);
  EXPECT_EQ(*small.at(12, 3), 0);
  EXPECT_EQ(*small.at(8, 4), 0);
  const Image large = training_diptych(sample, kPlain, HalfSizes::squares(8, 20)).image;
  EXPECT_EQ(large.width, 16);
  EXPECT_EQ(*large.at(15, 7), 100);
}

TEST(TrainingDiptych, TheStripAtTheBottomIsCutBeforeResizing) {
  EditSample sample = grey_sample(4, 64, 50, 100);
  for (int y = 62; y < 64; ++y) std::fill_n(sample.source.image.at(0, y), 12, uint8_t(255));
  RowRules cutting = kPlain;
  cutting.crop_the_noise = true;
  EXPECT_EQ(*training_diptych(sample, cutting, HalfSizes::squares(8, 8)).image.at(0, 7), 50);
  EXPECT_GT(*training_diptych(sample, kPlain, HalfSizes::squares(8, 8)).image.at(0, 7), 50);
  const Image flat =
      training_diptych(grey_sample(40, 20, 1, 2), cutting, HalfSizes::squares(8, 8)).image;
  EXPECT_EQ(*flat.at(0, 7), 1);  // a height below 32 loses nothing
}

}  // namespace
}  // namespace icedit
