// What a run may go on from, and with what.
#include "train/resume_check.h"

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
  checkpoint.state.fingerprint = fingerprint(config);
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

}  // namespace
}  // namespace icedit
