// What can be wrong with a training run's input: said before its first step, and no run folder
// left.
#include "e2e/program.h"

namespace icedit::e2e {
namespace {

class TrainInput : public Program {
 protected:
  // A run on the tiny model; `dataset` and `targets` as YAML.
  std::string yaml(const std::string& dataset, const std::string& targets = "[to_q]",
                   const std::string& more = "") const {
    return "flux_path: " + golden("tiny-fill") +
           "\ndtype: float32\ntrain:\n  max_steps: 1\n  max_sequence_length: 32\n  save_path: "
           "runs\n" +
           more + "  dataset: {condition_size: 64, target_size: 64, " + dataset +
           "}\n  lora_config: {r: 4, lora_alpha: 4, target_modules: " + targets +
           "}\n  optimizer: {type: AdamW, params: {lr: 1.0e-3}}\n";
  }
  std::string good() const {
    return yaml("type: edit, path: " + golden("dataset/magicbrush.parquet"));
  }
  void expect_train_failure(const std::string& config, int code, const std::string& message) {
    write("a.yaml", config);
    expect_failure({"train", "a.yaml"}, code, message);
  }
};

TEST_F(TrainInput, XflConfigNamesTheConfiguration) {
  expect_failure({"train"}, 2, "XFL_CONFIG");
  setenv("XFL_CONFIG", "b.yaml", 1);
  expect_failure({"train"}, 66, "b.yaml");
  write("b.yaml", good());
  const Result result = run({"train", "--run-folder", "out", "-q"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(fs::exists(work() / "out/step-1/pytorch_lora_weights.safetensors"));
  // A name on the command line comes first.
  expect_failure({"train", "c.yaml"}, 66, "c.yaml");
  setenv("XFL_CONFIG", "", 1);
  expect_failure({"train"}, 2, "which configuration?");
  unsetenv("XFL_CONFIG");
}

TEST_F(TrainInput, ConfigurationsThatAreWrong) {
  const std::string data = "type: edit, path: " + golden("dataset/magicbrush.parquet");
  expect_train_failure(yaml(data, "[to_q]", "  batch_size: many\n"), 2,
                       "a.yaml: train.batch_size is 'many', expected a whole number");
  expect_train_failure(yaml(data, "[to_q]", "  max_steps: 2\n"), 2,
                       "'train.max_steps' stands in line 4 and again in line 7");
  expect_train_failure(yaml(data, "[to_q]", "  bach_size: 2\n"), 2, "'train.batch_size'");
  expect_train_failure(yaml(data, "'.*attn\\.to_queue'"), 2, "matches none of the model's");
  expect_train_failure(yaml(data, "'.*attn\\.to_queue'"), 2, "attn.to_q");
  expect_train_failure(yaml(data, "'(('"), 2, "target_modules");
}

TEST_F(TrainInput, DataThatIsNotThere) {
  expect_train_failure(yaml("type: edit, path: 'none/*.parquet'"), 2,
                       "'none/*.parquet' matches no file");
  expect_train_failure(yaml("type: omini, path: " + golden("dataset/magicbrush.parquet")), 1,
                       "there is no column 'src_img', there are [img_id, ");
  expect_train_failure(yaml("type: edit, path: none/x.parquet"), 66,
                       "there is no file or folder 'none/x.parquet' in the working folder");
  write("x.parquet", "no Parquet");
  expect_train_failure(yaml("type: edit, path: x.parquet"), 1, "x.parquet");
}

TEST_F(TrainInput, ABatchThatCannotFit) {
  write("a.yaml", good());
  const std::vector<std::string> huge = {"train", "a.yaml",
                                         "--set", "train.batch_size=65536",
                                         "--set", "train.dataset.condition_size=8192"};
  expect_failure(huge, 2, "are available; try a smaller train.batch_size");
}

TEST_F(TrainInput, RanksWithDifferentConfigurations) {
  write("a.yaml", good());
  setenv("WORLD_SIZE", "2", 1);
  setenv("MASTER_ADDR", "127.0.0.1", 1);
  setenv("MASTER_PORT", std::to_string(20000 + getpid() % 20000).c_str(), 1);
  std::vector<pid_t> ranks;
  for (const char* rank : {"0", "1"}) {
    setenv("RANK", rank, 1);
    setenv("LOCAL_RANK", rank, 1);
    ranks.push_back(start(
        {"train", "a.yaml", "--run-folder", "out", "--set", std::string("train.seed=") + rank}));
  }
  for (const char* name : {"WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "RANK", "LOCAL_RANK"})
    unsetenv(name);
  for (const pid_t rank : ranks) {
    const Result result = wait(rank);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_TRUE(has(result.err, "the configuration of rank [1] differs from rank 0's"))
        << result.err;
  }
  EXPECT_FALSE(fs::exists(work() / "out/config.yaml"));
}

TEST_F(TrainInput, AResumeWithAnotherAdapterShape) {
  write("a.yaml", good());
  ASSERT_EQ(run({"train", "a.yaml", "--run-folder", "out", "-q"}).code, 0);
  const auto fails = [&](const std::string& setting, const std::string& message) {
    expect_failure(
        {"train", "a.yaml", "--resume", "out", "--set", "train.max_steps=2", "--set", setting}, 2,
        message);
  };
  fails("train.lora_config.r=8", "train.lora_config.r was 4 and is 8");
  fails("train.lora_config.target_modules=[to_k]", "train.lora_config.target_modules was");
  fails("train.mode=moe_lora", "train.mode was lora and is moe_lora");
  fails("flux_path=nano", "flux_path was");
  expect_failure({"train", "a.yaml", "--resume", "nowhere"}, 66, "nowhere");
}

// An hour of encoding must not come before an error that was there to be seen.
TEST_F(TrainInput, WhatHeadersTellIsSaidBeforeAnythingIsEncoded) {
  write("a.yaml", good());
  ASSERT_EQ(run({"train", "a.yaml", "--run-folder", "out", "-q"}).code, 0);
  write("plain", "no folder");
  const std::vector<std::pair<std::vector<std::string>, const char*>> wrong = {
      {{"--run-folder", "plain/run"}, "plain is no folder"},
      {{"--resume", "out", "--set", "train.max_steps=2", "--set", "train.lora_config.r=8"},
       "train.lora_config.r was 4 and is 8"},
      {{"--set", "train.init_lora=nowhere.safetensors"}, "nowhere.safetensors"},
      {{"--set", "train.init_lora=" + golden("lora/alpha4")}, "has a layer for"},
      {{"--set", "train.mode=full", "--set", "dtype=bfloat16"}, "set dtype: float32"},
      {{"--set", "train.mode=moe_lora"}, "expert_modules"}};
  // A step of all pairs, so that all are encoded before it.
  const std::vector<std::string> cached = {
      "train", "a.yaml", "--set", "train.cache=true", "--set", "train.batch_size=8"};
  for (const auto& [more, message] : wrong) {
    std::vector<std::string> arguments = cached;
    arguments.insert(arguments.end(), more.begin(), more.end());
    const std::set<std::string> before = files();
    const Result result = run(arguments);
    EXPECT_NE(result.code, 0) << message;
    EXPECT_TRUE(has(result.err, message)) << result.err;
    EXPECT_FALSE(has(result.err, "encoding the data")) << result.err;
    EXPECT_EQ(files(), before);
  }
  EXPECT_TRUE(has(run(cached).err, "encoding the data"));
}

TEST_F(TrainInput, ACompleteRunSaysSoAndWritesNothing) {
  write("a.yaml", good());
  ASSERT_EQ(run({"train", "a.yaml", "--run-folder", "out", "-q"}).code, 0);
  const std::set<std::string> before = files();
  const Result again = run({"train", "a.yaml", "--resume", "latest", "--run-folder", "out"});
  EXPECT_EQ(again.code, 0);
  EXPECT_EQ(again.out, "out\n");
  EXPECT_TRUE(has(again.err,
                  "out/step-1: the run is complete at step 1 (train.max_steps 1); a "
                  "larger train.max_steps goes on"))
      << again.err;
  EXPECT_FALSE(has(again.err, "\n\n")) << again.err;
  EXPECT_EQ(files(), before);
  expect_failure({"train", "a.yaml", "--resume", "latest", "--run-folder", "other"}, 66, "other");
  expect_failure({"train", "a.yaml", "--resume", "out", "--run-folder", "other"}, 2,
                 "goes on in out, and not in --run-folder other");
  expect_failure({"train", "a.yaml", "--resume", "out/step-7"}, 66, "out has [step-1]");
  const Result more = run({"train", "a.yaml", "--resume", "out", "--set", "train.max_steps=2"});
  EXPECT_EQ(more.code, 0) << more.err;
  EXPECT_FALSE(has(more.err, "fresh adapter")) << more.err;
}

TEST_F(TrainInput, PackingOntoAFullDiskLeavesNothing) {
  for (const std::string name : {"a", "b", "c"}) {
    copy(asset("desert-car.png"), "pairs/" + name + "_source.png");
    copy(asset("desert-car.png"), "pairs/" + name + "_target.png");
    write("pairs/" + name + ".txt", "make it night");
  }
  const auto before = files();
  const Result result = run({"data", "pack", "pairs", "-o", "out/x.parquet"}, {100'000, ""});
  EXPECT_EQ(result.code, 74) << result.err;
  EXPECT_TRUE(has(result.err, "x.parquet: writing failed")) << result.err;
  EXPECT_EQ(files(), before);
}

TEST_F(TrainInput, CheckingStopsAtCtrlC) {
  for (int i = 0; i < 500; ++i) {
    const std::string name = "pairs/" + std::to_string(i);
    copy(asset("desert-car.png"), name + "_source.png");
    fs::create_hard_link(work() / (name + "_source.png"), work() / (name + "_target.png"));
    write(name + ".txt", "make it night");
  }
  const pid_t child = start({"data", "check", "pairs", "--threads", "1"});
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  kill(child, SIGINT);
  const Result result = wait(child);
  EXPECT_TRUE(result.code == 130 || result.code == 128 + SIGINT) << result.code << result.err;
  EXPECT_EQ(result.out, "");
}

}  // namespace
}  // namespace icedit::e2e
