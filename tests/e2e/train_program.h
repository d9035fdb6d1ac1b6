#pragma once
// `icedit train` on the tiny model as one process or as several ranks, with torchrun's variables.
#include <optional>

#include "dist/agent_store.h"
#include "e2e/program.h"
#include "golden.h"

namespace icedit::e2e {

class TrainProgram : public Program {
 protected:
  TrainProgram() {
    write("tiny.yaml", str("flux_path: ", golden("tiny-fill"), R"(
dtype: float32
train:
  max_steps: 40
  batch_size: 1
  dataloader_workers: 0
  sample_interval: 0
  save_interval: 2
  max_sequence_length: 32
  dataset: {type: edit, path: )",
                           golden("dataset/magicbrush.parquet"), R"(,
            condition_size: 64, target_size: 64}
  lora_config: {r: 4, lora_alpha: 4, target_modules: [to_q, proj_out, ff.net.2]}
  optimizer: {type: Prodigy, params: {lr: 1, d0: 1.0e-3}}
)"));
  }

  static std::vector<std::string> train(const std::vector<std::string>& more = {}) {
    std::vector<std::string> all = {"train", "tiny.yaml"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  // train.KEY=VALUE as --set.
  static std::vector<std::string> set(const std::vector<std::string>& settings) {
    std::vector<std::string> all;
    for (const auto& setting : settings) all.insert(all.end(), {"--set", "train." + setting});
    return all;
  }

  // One process for each list of arguments, as torchrun starts them.
  std::vector<pid_t> start_ranks(const AgentStore& agent,
                                 const std::vector<std::vector<std::string>>& arguments,
                                 int restart_count = 0) {
    std::vector<pid_t> ranks;
    for (size_t rank = 0; rank < arguments.size(); ++rank) {
      Limits limits;
      limits.environment = agent.variables(restart_count);
      limits.environment["RANK"] = limits.environment["LOCAL_RANK"] = std::to_string(rank);
      limits.environment["WORLD_SIZE"] = std::to_string(arguments.size());
      limits.environment["OMP_NUM_THREADS"] = "1";
      limits.name = name_of(rank);
      ranks.push_back(start(arguments[rank], limits));
    }
    return ranks;
  }
  std::vector<pid_t> start_ranks(const AgentStore& agent, int count,
                                 const std::vector<std::string>& arguments, int restart_count = 0) {
    return start_ranks(agent, std::vector(size_t(count), arguments), restart_count);
  }
  // In the order of the ranks.
  std::vector<Result> wait_for(const std::vector<pid_t>& ranks) {
    std::vector<Result> results;
    for (const pid_t rank : ranks) results.push_back(wait(rank, name_of(results.size())));
    return results;
  }
  std::vector<Result> run_ranks(int count, const std::vector<std::string>& arguments) {
    const AgentStore agent;
    return wait_for(start_ranks(agent, count, arguments));
  }

  // The only run below runs/; "" while there is none.
  Path only_run() const {
    std::vector<Path> runs;
    if (fs::exists(work() / "runs"))
      for (const auto& entry : fs::directory_iterator(work() / "runs"))
        runs.push_back(entry.path());
    EXPECT_LE(runs.size(), 1u);
    return runs.empty() ? Path() : runs[0];
  }
  // Lines of metrics.jsonl: the steps that were done, by one attempt after the other.
  static int64_t steps_done(const Path& run) {
    if (run.empty() || !fs::exists(run / "metrics.jsonl")) return 0;
    const std::string text = read_file(run / "metrics.jsonl");
    return std::count(text.begin(), text.end(), '\n');
  }
  // Waits until so many steps are done, a minute at most.
  void wait_for_steps(int64_t steps) {
    for (int i = 0; i < 6000 && steps_done(only_run()) < steps; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_GE(steps_done(only_run()), steps);
  }
  static int64_t latest_step(const Path& run) {
    const std::string name = fs::read_symlink(run / "latest").string();
    return std::stoll(name.substr(name.find('-') + 1));
  }

  static void expect_same_checkpoint(const Path& got, const Path& want) {
    for (const char* file :
         {"pytorch_lora_weights.safetensors", "optimizer.safetensors", "state.json"})
      EXPECT_EQ(sha256_file(got / file), sha256_file(want / file)) << got / file;
  }

 private:
  static std::string name_of(size_t rank) { return "rank" + std::to_string(rank) + "."; }
};

}  // namespace icedit::e2e
