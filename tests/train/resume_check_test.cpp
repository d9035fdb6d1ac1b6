// What a run may go on from, and with what.
#include "train/resume_check.h"

#include <ATen/Parallel.h>

#include "tiny_session.h"

namespace icedit {
namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TrainConfig accumulating(int64_t batches) {
  return tiny_config({str("train.accumulate_grad_batches=", batches)});
}

LoadedCheckpoint checkpoint_of(const TrainConfig& config, int ranks, const DataMark& data = {}) {
  LoadedCheckpoint checkpoint{"run/step-3", {}};
  checkpoint.state.settings = computing_settings(config);
  checkpoint.state.ranks = ranks;
  checkpoint.state.data = data;
  return checkpoint;
}

TEST(ResumeCheck, RanksTimesAccumulationStay) {
  const LoadedCheckpoint checkpoint = checkpoint_of(accumulating(2), 2);
  expect_resumable(checkpoint, accumulating(2), {}, 2);
  expect_resumable(checkpoint, accumulating(4), {}, 1);
  expect_resumable(checkpoint, accumulating(1), {}, 4);
  const auto error = [&](int64_t batches, int ranks) {
    return error_of<UsageError>(
        [&] { expect_resumable(checkpoint, accumulating(batches), {}, ranks); });
  };
  const std::string doubled = error(2, 4);
  EXPECT_TRUE(has(doubled, "4 micro-batches a step") && has(doubled, "2 x 2)") &&
              has(doubled, "would be 8 (4 x 2)"))
      << doubled;
  EXPECT_TRUE(has(doubled, "set train.accumulate_grad_batches to 1")) << doubled;
  EXPECT_TRUE(has(error(1, 3), "may be 1 x 4, 2 x 2 or 4 x 1")) << error(1, 3);
}

TEST(ResumeCheck, WithoutTheRanksAccumulationStays) {
  const LoadedCheckpoint older = checkpoint_of(accumulating(2), 0);
  expect_resumable(older, accumulating(2), {}, 4);
  const std::string error =
      error_of<UsageError>([&] { expect_resumable(older, accumulating(1), {}, 2); });
  EXPECT_TRUE(has(error, "train.accumulate_grad_batches was 2 and is 1")) << error;
}

TEST(ResumeCheck, AnotherConfigurationIsNamed) {
  LoadedCheckpoint checkpoint{"run/step-3", {}};
  checkpoint.state.settings = {{"train.batch_size", "1"}, {"seed", "666"}};
  checkpoint.state.adapter.modules = {AdapterModule()};
  auto wanted = checkpoint.state.settings;
  expect_same_settings(checkpoint, wanted);
  wanted["train.batch_size"] = "4";
  wanted["train.ema"] = "0.99";
  const std::string error = error_of<UsageError>([&] { expect_same_settings(checkpoint, wanted); });
  EXPECT_NE(error.find("train.batch_size was 1 and is 4"), std::string::npos) << error;
  EXPECT_NE(error.find("train.ema was not set and is 0.99"), std::string::npos) << error;
  EXPECT_TRUE(
      error.ends_with("or start a run of its own, from its adapter with "
                      "train.init_lora: run/step-3"))
      << error;
  expect_same_settings(checkpoint, wanted, {"train.batch_size", "train.ema"});
}

// Relative to another folder, absolute, through a link, with a slash at the end; one or a list.
TEST(ResumeCheck, APathMayBeSpelledOtherwise) {
  const TemporaryFolder folder;
  const Path there = folder / "data";
  folder.write("data/x.parquet", "");
  std::filesystem::create_directory_symlink("data", folder / "link");
  LoadedCheckpoint checkpoint{"run/step-3", {}};
  checkpoint.state.working_folder = folder.path().string();
  const auto differs = [&](const std::string& had, const std::string& now) {
    checkpoint.state.settings = {{"train.dataset.path", had}};
    return error_of<UsageError>([&] {
             expect_same_settings(checkpoint, {{"train.dataset.path", now}});
           }) != "";
  };
  for (const std::string& had :
       std::vector<std::string>{"data", "./data/", "link", "link/../data", there.string()}) {
    EXPECT_FALSE(differs(had, there.string())) << had;
    EXPECT_FALSE(differs(had, (folder / "link/").string())) << had;
    EXPECT_TRUE(differs(had, (folder / "data/x.parquet").string())) << had;
    EXPECT_TRUE(differs(had, "")) << had;
  }
  EXPECT_FALSE(differs("data/*.parquet", (there / "*.parquet").string()));
  EXPECT_FALSE(differs("- data\n- link/x.parquet",
                       str("- ", there.string(), "/\n- ", (there / "x.parquet").string())));
  EXPECT_TRUE(differs("- data\n- link/x.parquet", str("- ", there.string())));
  EXPECT_TRUE(differs("org/name", "org/other"));
}

TEST(ResumeCheck, OtherDataAreNoticed) {
  const TrainConfig config = tiny_config();
  const DataMark mark = mark_of(EditDataset(config.dataset));
  EXPECT_EQ(mark.rows, EditDataset(config.dataset).size());
  DatasetConfig other = config.dataset;
  other.path = {(Path(ICEDIT_SOURCE) / "models/nano/heldout.parquet").string()};
  EXPECT_NE(mark_of(EditDataset(other)).digest, mark.digest);
  expect_resumable(checkpoint_of(config, 1, mark), config, mark, 1);
  expect_resumable(checkpoint_of(config, 1), config, mark, 1);  // it does not say
  const DataMark more = {mark.rows + 1, mark.digest}, changed = {mark.rows, "x"};
  const std::string error = error_of<UsageError>(
      [&] { expect_resumable(checkpoint_of(config, 1, more), config, mark, 1); });
  EXPECT_TRUE(has(error, str("on ", mark.rows + 1, " pairs")) && has(error, "order")) << error;
  ::testing::internal::CaptureStderr();
  expect_resumable(checkpoint_of(config, 1, changed), config, mark, 1);
  EXPECT_TRUE(has(::testing::internal::GetCapturedStderr(), "other pairs"));
}

TEST(ResumeCheck, OtherThreadsAreSaid) {
  const TrainConfig config = tiny_config();
  const auto said = [&](int threads) {
    LoadedCheckpoint checkpoint = checkpoint_of(config, 1);
    checkpoint.state.threads = threads;
    ::testing::internal::CaptureStderr();
    expect_resumable(checkpoint, config, {}, 1);
    return ::testing::internal::GetCapturedStderr();
  };
  const int now = at::get_num_threads();
  EXPECT_EQ(said(now), "");
  EXPECT_EQ(said(0), "") << "older checkpoints do not know";
  EXPECT_TRUE(has(said(now + 1), str("--threads ", now + 1, " gives the same")));
}

}  // namespace
}  // namespace icedit
