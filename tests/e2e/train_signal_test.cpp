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
