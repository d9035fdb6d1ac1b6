// Several ranks: the same gradients, one voice, and what becomes of a run when one of them dies.
#include "e2e/train_program.h"
#include "nn/weights.h"

namespace icedit::e2e {
namespace {

class TrainRanks : public TrainProgram {
 protected:
  golden::Tensors trace(const std::string& name) const {
    golden::Tensors tensors;
    for (const auto& [key, tensor] : load_tensors(work() / name)) tensors.emplace(key, tensor);
    return tensors;
  }
  static void expect_good(const std::vector<Result>& results) {
    for (const Result& result : results) EXPECT_EQ(result.code, 0) << result.err;
  }
};

TEST_F(TrainRanks, TwoAreOneWithAccumulation) {
  // From an adapter, so that no factor's gradient is zero.
  const std::string start = "init_lora=" + golden("lora/alpha4");
  std::vector<std::string> two = train(set({start, "lora_config.target_modules=[]"})), one = two;
  two.insert(two.end(), {"--trace", "two.safetensors"});
  one.insert(one.end(), {"--trace", "one.safetensors", "--set", "train.accumulate_grad_batches=2"});
  expect_good(run_ranks(2, two));
  fs::remove_all(work() / "runs");
  expect_good(run_ranks(1, one));
  const golden::Tensors got = trace("two.safetensors"), want = trace("one.safetensors");
  size_t compared = 0;
  for (const auto& [name, tensor] : want) {
    if (!name.starts_with("0.grad.")) continue;
    EXPECT_TRUE(golden::close(golden::get(got, name), tensor, 1e-6)) << name;
    EXPECT_TRUE(tensor.any().item<bool>()) << name;
    ++compared;
  }
  EXPECT_GT(compared, 10u);
  EXPECT_TRUE(golden::equal(golden::get(got, "0.0.x_1"), golden::get(want, "0.0.x_1")));
}

// Micro-batch i belongs to rank i mod W, whatever W was before.
TEST_F(TrainRanks, AResumeMayHaveOtherRanks) {
  const auto with = [](std::vector<std::string> arguments, const char* accumulate) {
    arguments.insert(arguments.end(), {"--set", str("train.accumulate_grad_batches=", accumulate)});
    return arguments;
  };
  const auto resume = [&](const char* steps, const char* file, const char* accumulate) {
    return with(train({"--resume", "latest", "--steps", steps, "--trace", file}), accumulate);
  };
  expect_good(run_ranks(2, with(train({"--steps", "1"}), "3")));     // micro-batches 0 to 5
  expect_good(run_ranks(1, resume("2", "one.safetensors", "6")));    // 6 to 11
  expect_good(run_ranks(3, resume("3", "three.safetensors", "2")));  // 12 to 17, the first 12 15
  for (const Result& result : run_ranks(2, resume("4", "none", "2"))) EXPECT_NE(result.code, 0);
  const Result refused = run_ranks(2, resume("4", "none", "2"))[0];
  EXPECT_EQ(refused.code, 2);
  EXPECT_TRUE(has(refused.err,
                  "6 micro-batches a step (ranks x train.accumulate_grad_batches: "
                  "3 x 2), and here it would be 4 (2 x 2); set "
                  "train.accumulate_grad_batches to 3"))
      << refused.err;
  expect_good(run_ranks(1, train({"--run-folder", "alone", "--steps", "16", "--trace", "all"})));
  const golden::Tensors all = trace("all");
  for (const auto& [file, step, micro] : {std::tuple("one.safetensors", "1.0.", "6.0."),
                                          {"one.safetensors", "1.5.", "11.0."},
                                          {"three.safetensors", "2.0.", "12.0."},
                                          {"three.safetensors", "2.1.", "15.0."}}) {
    const golden::Tensors got = trace(file);
    for (const char* name : {"x_0", "x_1", "t", "prompt_embeds"})
      EXPECT_TRUE(
          golden::equal(golden::get(got, str(step, name)), golden::get(all, str(micro, name))))
          << file << " " << name;
  }
}

TEST_F(TrainRanks, OnlyTheFirstSpeaks) {
  const auto results = run_ranks(2, train({"--steps", "2"}));
  expect_good(results);
  EXPECT_EQ(work() / results[0].out.substr(0, results[0].out.size() - 1), only_run());
  EXPECT_TRUE(has(results[0].err, "run: ")) << results[0].err;
  EXPECT_EQ(results[1].out, "");
  EXPECT_EQ(results[1].err, "");
}

// With torchrun's --max-restarts, and no word about the run's folder.
TEST_F(TrainRanks, ARankThatDiesEndsTheOthersAndTheRestartGoesOnBitForBit) {
  expect_good(run_ranks(2, train({"--run-folder", "undisturbed"})));
  const AgentStore agent;
  const auto ranks = start_ranks(agent, 2, train());
  wait_for_steps(5);
  kill(ranks[1], SIGKILL);
  const auto start = std::chrono::steady_clock::now();
  const auto died = wait_for(ranks);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_EQ(died[0].code, 1) << died[0].err;
  EXPECT_TRUE(has(died[0].err, "another rank ended")) << died[0].err;
  EXPECT_TRUE(has(died[0].err, "; go on with --resume runs/")) << died[0].err;
  EXPECT_EQ(died[1].code, 128 + SIGKILL);
  const int64_t kept = latest_step(only_run());
  EXPECT_GE(kept, 4);
  EXPECT_LT(kept, 40);
  const auto results = wait_for(start_ranks(agent, 2, train(), /*restart_count=*/1));
  expect_good(results);
  EXPECT_TRUE(has(results[0].err, "goes on after step " + std::to_string(kept))) << results[0].err;
  expect_same_checkpoint(only_run() / "step-40", work() / "undisturbed" / "step-40");
}

TEST_F(TrainRanks, ARestartOfOneRankGoesOnFromTheLastCheckpointThatIsThere) {
  ASSERT_EQ(run_ranks(1, train({"--steps", "4"}))[0].code, 0);
  const Path run = only_run();
  const AgentStore agent;
  // Not again from step 2, though the arguments still say so.
  const std::vector<std::string> arguments =
      train({"--resume", (run / "step-2").string(), "--steps", "6"});
  ASSERT_EQ(wait_for(start_ranks(agent, 1, arguments))[0].code, 0);
  EXPECT_EQ(latest_step(run), 6);
  const Result again = wait_for(start_ranks(agent, 1, arguments, /*restart_count=*/1))[0];
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_TRUE(has(again.err, "step-6: the run is complete at step 6 (--steps 6)")) << again.err;
}

TEST_F(TrainRanks, DifferentConfigurationsAreAnErrorBeforeTheFirstStep) {
  for (const auto& [other, what] :
       {std::pair(
            train(set({"seed=1"})),
            "differs from rank 0's: rank 0 has 'train.seed: 666', rank 1 has 'train.seed: 1'"),
        {train({"--steps", "3"}), "--resume, --run-folder or --steps of rank [1] differs"}}) {
    const AgentStore agent;
    for (const Result& result : wait_for(start_ranks(agent, {train(), other}))) {
      EXPECT_EQ(result.code, 2) << result.err;
      EXPECT_TRUE(has(result.err, what)) << result.err;
    }
    EXPECT_EQ(files(), std::set<std::string>{"tiny.yaml"});
  }
}

}  // namespace
}  // namespace icedit::e2e
