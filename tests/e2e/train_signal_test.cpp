// What a run leaves behind when it is stopped, killed or out of space, and how it goes on.
#include "e2e/train_program.h"

namespace icedit::e2e {
namespace {

using Clock = std::chrono::steady_clock;

class TrainSignals : public TrainProgram {
 protected:
  // A folder with the run that nothing disturbed.
  Path undisturbed(int ranks, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = train({"--run-folder", "undisturbed"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    for (const Result& result : run_ranks(ranks, arguments))
      EXPECT_EQ(result.code, 0) << result.err;
    return work() / "undisturbed";
  }
};

TEST_F(TrainSignals, OneSignalSavesAndEnds) {
  for (const int signal : {SIGTERM, SIGINT}) {
    fs::remove_all(work() / "runs");
    const pid_t child = start(train(set({"max_steps=-1", "save_interval=0"})));
    wait_for_steps(3);
    const auto sent = Clock::now();
    kill(child, signal);
    const Result result = wait(child);
    EXPECT_LT(Clock::now() - sent, std::chrono::seconds(20));
    EXPECT_EQ(result.code, 130) << result.err;
    EXPECT_TRUE(has(result.err, signal == SIGTERM ? "stopped by SIGTERM" : "stopped by Ctrl+C"));
    EXPECT_EQ(result.out, "");
    const std::string run = "runs/" + only_run().filename().string();
    EXPECT_TRUE(has(result.err, str("; saved ", run, "/step-", latest_step(only_run()),
                                    "; go on with --resume ", run)))
        << result.err;
    EXPECT_EQ(latest_step(only_run()), steps_done(only_run()));
  }
}

TEST_F(TrainSignals, ASignalToAllRanksSavesWithoutAWordBetweenThem) {
  const AgentStore agent;
  const auto ranks = start_ranks(agent, 2, train(set({"max_steps=-1", "save_interval=0"})));
  wait_for_steps(3);
  // One of them is asleep: whatever needs both would wait.
  kill(ranks[1], SIGSTOP);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const auto sent = Clock::now();
  kill(ranks[0], SIGTERM);
  const Result first = wait(ranks[0], "rank0.");
  EXPECT_LT(Clock::now() - sent, std::chrono::seconds(20));
  EXPECT_EQ(first.code, 130) << first.err;
  EXPECT_EQ(latest_step(only_run()), steps_done(only_run()));
  kill(ranks[1], SIGTERM);
  kill(ranks[1], SIGCONT);
  EXPECT_EQ(wait(ranks[1], "rank1.").code, 130);
}

TEST_F(TrainSignals, AfterAKillTheRunGoesOnBitForBit) {
  const Path want = undisturbed(1) / "step-40";
  const AgentStore agent;
  const auto child = start_ranks(agent, 1, train());
  wait_for_steps(5);
  kill(child[0], SIGKILL);
  EXPECT_EQ(wait_for(child)[0].code, 128 + SIGKILL);
  const int64_t kept = latest_step(only_run());
  EXPECT_LT(kept, 40);
  const Result resumed = run_ranks(1, train({"--resume", "latest"}))[0];
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_TRUE(has(resumed.err, "goes on after step " + std::to_string(kept))) << resumed.err;
  EXPECT_EQ(work() / resumed.out.substr(0, resumed.out.size() - 1), only_run());
  expect_same_checkpoint(only_run() / "step-40", want);
}

TEST_F(TrainSignals, AFullDiskLosesNeitherTheRunNorTheCheckpointBefore) {
  const std::vector<std::string> wide = set({"lora_config.r=64", "max_steps=6"});
  const Path want = undisturbed(1, wide) / "step-6";
  std::vector<std::string> arguments = train(wide);
  arguments.insert(arguments.end(), {"--steps", "2"});
  Limits one_thread, full;
  one_thread.environment = full.environment = {{"OMP_NUM_THREADS", "1"}};
  ASSERT_EQ(wait(start(arguments, one_thread)).code, 0);
  const Path run = only_run();
  ASSERT_EQ(latest_step(run), 2);
  arguments = train(wide);
  arguments.insert(arguments.end(), {"--resume", "latest"});
  full.file_bytes = 40'000;
  const Result result = wait(start(arguments, full));
  EXPECT_EQ(result.code, 74) << result.err;  // what was trained last is not there
  EXPECT_TRUE(has(result.err, "the run goes on, the checkpoints before are whole")) << result.err;
  EXPECT_EQ(steps_done(run), 6) << result.err;
  EXPECT_EQ(latest_step(run), 2);
  const Result after = wait(start(arguments, one_thread));
  ASSERT_EQ(after.code, 0) << after.err;
  expect_same_checkpoint(run / "step-6", want);
}

TEST_F(TrainSignals, WithoutLinksARunIsKeptAndFoundAllTheSame) {
  Limits no_links;
  no_links.no_links = true;
  std::vector<std::string> arguments =
      train(set({"max_steps=6", "save_interval=1", "keep_checkpoints=2"}));
  const Result result = wait(start(arguments, no_links));
  if (result.code == 124) GTEST_SKIP() << "no system-call filters here";
  ASSERT_EQ(result.code, 0) << result.err;
  const size_t said = result.err.find("latest cannot be a link there");
  EXPECT_NE(said, std::string::npos) << result.err;
  EXPECT_EQ(result.err.find("cannot be a link", said + 10), std::string::npos) << result.err;
  const Path run = only_run();
  EXPECT_TRUE(fs::exists(run / "step-5") && fs::exists(run / "step-6"));
  EXPECT_FALSE(fs::exists(run / "step-4"));
  EXPECT_TRUE(has(this->run({"inspect", (run / "latest").string()}).out, "step-6"));
  arguments.insert(arguments.end(), {"--resume", "latest", "--set", "train.max_steps=7"});
  const Result resumed = wait(start(arguments, no_links));
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_TRUE(has(resumed.err, "goes on after step 6")) << resumed.err;
}

// The first step of this size is finite, as are the weights after it; nothing that follows is.
TEST_F(TrainSignals, ADivergenceLeavesTheGoodCheckpointsAlone) {
  const std::vector<std::string> diverging =
      set({"save_interval=1", "keep_checkpoints=1", "max_bad_steps=3", "gradient_clip_val=0",
           "optimizer={type: SGD, params: {lr: 1.0e+37}}"});
  const Result result = run(train(diverging));
  EXPECT_EQ(result.code, 1) << result.err;
  const Path last = only_run() / "step-1";
  const std::string good = str("the last good checkpoint is runs/", only_run().filename().string(),
                               "/step-1, from whose adapter");
  EXPECT_TRUE(has(result.err, "step 2 is not finite and is not saved; " + good)) << result.err;
  EXPECT_TRUE(has(result.err, "3 steps in a row were not finite")) << result.err;
  EXPECT_TRUE(has(result.err.substr(result.err.find("icedit: error")), good)) << result.err;
  EXPECT_EQ(latest_step(only_run()), 1);
  EXPECT_TRUE(fs::exists(last / "pytorch_lora_weights.safetensors"));
  EXPECT_FALSE(fs::exists(only_run() / "step-2"));
  // Where the last step of all is such a one, the run says so and is not said to be done.
  const Result short_run = run(train({"--run-folder", "short", "--steps", "2", "--set",
                                      "train.optimizer={type: SGD, params: {lr: 1.0e+37}}"}));
  EXPECT_EQ(short_run.code, 1);
  EXPECT_TRUE(has(short_run.err, "step 2 is not finite and is not saved")) << short_run.err;
}

TEST_F(TrainSignals, TwoRunsOfOneSecondDoNotMeet) {
  std::vector<pid_t> both;
  for (const char* seed : {"1", "2"}) {
    Limits limits;
    limits.name = seed;
    both.push_back(start(train(set({str("seed=", seed), "max_steps=4"})), limits));
  }
  for (size_t i = 0; i < both.size(); ++i) {
    const Result result = wait(both[i], std::to_string(i + 1));
    EXPECT_EQ(result.code, 0) << result.err;
  }
  std::vector<Path> runs;
  for (const auto& entry : fs::directory_iterator(work() / "runs")) runs.push_back(entry.path());
  ASSERT_EQ(runs.size(), 2u);
  for (const Path& run : runs) {
    EXPECT_EQ(steps_done(run), 4);
    EXPECT_EQ(latest_step(run), 4);
  }
}

TEST_F(TrainSignals, ASecondRunInTheSameFolderIsRefused) {
  const pid_t first = start(train(set({"max_steps=-1"})));
  wait_for_steps(3);
  const std::string run_folder = "runs/" + only_run().filename().string();
  Limits limits;
  limits.name = "second.";
  for (const char* how : {"--resume", "--run-folder"}) {
    const Result second = wait(start(train({how, run_folder}), limits), limits.name);
    EXPECT_EQ(second.code, 2) << second.err;
    EXPECT_TRUE(has(second.err, run_folder + " is of a run that is under way in another process"))
        << second.err;
  }
  kill(first, SIGTERM);
  EXPECT_EQ(wait(first).code, 130);
  EXPECT_EQ(run(train({"--resume", run_folder, "--steps", "4"})).code, 0);
}

TEST_F(TrainSignals, ANewRunDoesNotWriteOverAnother) {
  ASSERT_EQ(run(train({"--run-folder", "mine", "--steps", "2"})).code, 0);
  expect_failure(train({"--run-folder", "mine"}), 2, "mine holds a run already");
  expect_failure(train({"--resume", "latest"}), 66, "runs has no run with a checkpoint");
  expect_failure(train({"--resume", "nowhere"}), 66, "there is no checkpoint");
  EXPECT_EQ(run(train({"--resume", "mine", "--steps", "4"})).code, 0);
  EXPECT_EQ(latest_step(work() / "mine"), 4);
}

}  // namespace
}  // namespace icedit::e2e
