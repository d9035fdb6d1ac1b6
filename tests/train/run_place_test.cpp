// A run's folder: its own, while the run is under way.
#include "train/run_place.h"

#include <utility>

#include "tiny_session.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

class FindRun : public ::testing::Test {
 protected:
  RunPlace find(const RunOptions& options = {}) {
    return find_run(config_, options, LaunchEnv(), *group_);
  }

  TemporaryFolder folder_;
  TrainConfig config_ = tiny_config({"train.save_path=" + (folder_ / "runs").string()});
  std::unique_ptr<Group> group_ = make_group(LaunchEnv());
};

TEST_F(FindRun, RunsOfOneSecondHaveFoldersOfTheirOwn) {
  std::vector<RunPlace> runs;
  std::set<Path> folders;
  for (int i = 0; i < 5; ++i) {
    runs.push_back(find());
    EXPECT_TRUE(fs::is_directory(runs.back().folder));
    folders.insert(runs.back().folder);
  }
  EXPECT_EQ(folders.size(), 5u);
}

TEST_F(FindRun, AFolderIsOneRunsAtATime) {
  RunOptions options;
  options.run_folder = (folder_ / "mine").string();
  {
    const RunPlace first = find(options);
    const std::string error = error_of<UsageError>([&] { find(options); });
    EXPECT_NE(error.find("mine is of a run that is under way in another process"),
              std::string::npos)
        << error;
  }
  EXPECT_FALSE(fs::exists(folder_ / "mine")) << "nothing was written there";
  Session session(config_);
  session.trainer.step();
  save_checkpoint(options.run_folder, session.trainer.state(), 0);
  options.resume = std::exchange(options.run_folder, "");
  const RunPlace resumed = find(options);
  EXPECT_EQ(resumed.checkpoint->state.step, 1);
  EXPECT_NE(error_of<UsageError>([&] { find(options); }), "");
}

TEST_F(FindRun, NothingIsMadeForAResumeOfNothing) {
  RunOptions options;
  options.resume = (folder_ / "nowhere").string();
  EXPECT_NE(error_of<NoInputError>([&] { find(options); }), "");
  options.resume = "latest";
  EXPECT_NE(error_of<NoInputError>([&] { find(options); }), "");
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

}  // namespace
}  // namespace icedit
