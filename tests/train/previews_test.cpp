// Sample pictures of a run: they show what is trained, and leave the training alone.
#include "train/previews.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "edit/pipeline.h"
#include "tiny_session.h"
#include "train/bitmap_font.h"
#include "train/run.h"

namespace icedit {
namespace {

const std::vector<std::string> kFast = {"train.optimizer.params.lr=0.05", "train.sample_pairs=2",
                                        "train.sample_steps=2", "train.save_interval=0",
                                        "train.max_steps=5"};

std::vector<std::string> with(std::vector<std::string> more) {
  more.insert(more.end(), kFast.begin(), kFast.end());
  return more;
}

Path run(const TrainConfig& config, const Path& folder) {
  RunOptions options;
  options.run_folder = folder.string();
  options.device = "cpu";
  return run_training(config, options);
}

std::vector<double> losses(const Path& folder) {
  std::ifstream lines(folder / "metrics.jsonl");
  std::vector<double> found;
  for (std::string line; std::getline(lines, line);)
    found.push_back(nlohmann::json::parse(line).at("loss"));
  return found;
}

// The right column of cells: two of 64 x 64, 4 pixels around them, the second below its caption.
std::vector<Image> edits(const Path& grid_file, const std::string& second_caption) {
  const Image grid = read_image(grid_file);
  EXPECT_EQ(grid.width, 4 * 4 + 3 * 64);
  const int left = grid.width - 4 - 64, bottom = grid.height - 4;
  const auto lines = broken_text(second_caption, size_t((grid.width - 8) / kLetterWidth), 2);
  const int row = 4 + 64 + 4 + int(lines.size()) * kLetterHeight;
  return {crop(grid, left, bottom - row - 64, left + 64, bottom - row),
          crop(grid, left, bottom - 64, left + 64, bottom)};
}

TEST(Previews, TrainingIsTheSameWithAndWithoutSamples) {
  const std::vector<std::vector<std::string>> modes = {
      {"train.draws=reference", "train.dataloader_workers=2"},
      {"train.ema_decay=0.9", "train.cache=true", "train.gradient_checkpointing=true"},
      {"train.mode=moe_lora", "train.lora_config.num_experts=2", "train.lora_config.expert_rank=2"},
      {"train.mode=full", "train.optimizer.params.lr=1.0e-4"}};
  for (const auto& mode : modes) {
    std::vector<std::string> overrides = with({});
    overrides.insert(overrides.end(), mode.begin(), mode.end());
    const TemporaryFolder folder;
    overrides.push_back("train.sample_interval=0");
    run(tiny_config(overrides), folder / "without");
    overrides.back() = "train.sample_interval=2";
    run(tiny_config(overrides), folder / "with");
    EXPECT_EQ(losses(folder / "with"), losses(folder / "without")) << mode[0];
    EXPECT_EQ(losses(folder / "with").size(), 5u);
    EXPECT_FALSE(std::filesystem::exists(folder / "without/samples"));
    for (const int step : {0, 2, 4, 5})
      EXPECT_TRUE(std::filesystem::exists(folder / str("with/samples/step-", step, ".png")));
  }
}

// Two pairs of two steps each.
TEST(Previews, SayThatTheyAreMade) {
  const TemporaryFolder folder;
  testing::internal::CaptureStderr();
  run(tiny_config(with({"train.sample_interval=5"})), folder / "run");
  const std::string text = testing::internal::GetCapturedStderr();
  for (const int step : {0, 5}) {
    const std::string what = str("previews after step ", step, ": ");
    EXPECT_NE(text.find(what + "0/4\n"), std::string::npos) << text;
    EXPECT_NE(text.find(what + "4/4  "), std::string::npos) << text;
  }
}

TEST(Previews, AnEditIsThatOfTheCheckpoint) {
  for (const bool averages : {false, true}) {
    const TrainConfig config =
        tiny_config(with({"train.sample_interval=5", str("train.ema_decay=", averages ? 0.5 : 0),
                          "train.sample_guidance=30"}));
    const TemporaryFolder folder;
    run(config, folder / "run");
    const Path at = folder / "run/samples";
    ResidencyOptions options = Session::options(config, at::kCPU);
    options.adapters = {{(folder / "run/step-5" / (averages ? "ema" : "")).string(), 1}};
    Editor editor(Session::model(config), options);
    const EditDataset dataset(config.dataset);
    const std::string caption = dataset.read(1).instructions[0];
    const std::vector<Image> first = edits(at / "step-0.png", caption),
                             last = edits(at / "step-5.png", caption);
    for (int64_t i = 0; i < 2; ++i) {
      const EditSample sample = decode(dataset.read(i));
      EditRequest request;
      const Image diptych =
          training_diptych(sample, dataset.rules(i), HalfSizes::squares(64, 64)).image;
      request.source = crop(diptych, 0, 0, 64, 64);
      request.instruction = sample.instructions[0];
      request.width = 64;
      request.steps = 2;
      request.guidance = 30;
      request.seed = 666 + i;
      request.max_sequence_length = 32;
      const Image want = editor.edit(request).front().image;
      int most = 0, moved = 0;
      for (size_t p = 0; p < want.pixels.size(); ++p) {
        most = std::max(most, std::abs(int(want.pixels[p]) - int(last[i].pixels[p])));
        moved = std::max(moved, std::abs(int(first[i].pixels[p]) - int(last[i].pixels[p])));
      }
      EXPECT_LE(most, 1) << "pair " << i;
      EXPECT_GT(moved, 8) << "pair " << i;
    }
  }
}

// With FLUX they are ten gigabytes beside the transformer.
TEST(Previews, OfACachedRunTakeNoTextEncoder) {
  const auto grid = [](const std::vector<std::string>& overrides) {
    Session session(tiny_config(with(overrides)));
    Residency residency(Session::model(session.config), Session::options(session.config, at::kCPU));
    const Previews previews(session.config, session.dataset);
    Trainer trainer(session.config, residency, session.dataset, session.quarantine, *session.alone,
                    -1, nullptr, previews.prompts());
    const bool there = !session.config.cache;
    EXPECT_FALSE(residency.is_loaded(Part::kT5));
    const Image made = previews.make(trainer, [] {});
    EXPECT_EQ(residency.is_loaded(Part::kT5), there);
    EXPECT_EQ(residency.is_loaded(Part::kClip), there);
    EXPECT_EQ(residency.is_loaded(Part::kVae), there);
    return made;
  };
  const std::string held_out =
      str("train.sample_data=", golden::path("dataset/magicbrush.parquet").string());
  EXPECT_EQ(grid({"train.cache=true"}).pixels, grid({}).pixels);
  EXPECT_EQ(grid({"train.cache=true", held_out}).pixels, grid({held_out}).pixels);
  // Of the data's own prompts none is encoded.
  const std::string dropped = "train.dataset.drop_text_prob=1";
  EXPECT_EQ(grid({"train.cache=true", dropped}).pixels, grid({dropped}).pixels);
}

TEST(Previews, PairsThatCannotBeReadAreErrors) {
  const EditDataset dataset(tiny_config().dataset);
  const std::string error = error_of<NoInputError>(
      [&] { Previews(tiny_config({"train.sample_data=nowhere.parquet"}), dataset); });
  EXPECT_TRUE(error.starts_with("train.sample_data: there is no file")) << error;
  const TrainConfig other =
      tiny_config({str("train.sample_data=", golden::path("dataset/omniedit.parquet").string())});
  EXPECT_THROW(Previews(other, dataset), Error);
}

}  // namespace
}  // namespace icedit
