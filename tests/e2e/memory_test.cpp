// What the options that save memory save of it, and that the result is as near as they state: the
// built program on models of some hundred megabytes with random weights.
#include <regex>

#include "base/str.h"
#include "e2e/edit_program.h"
#include "golden.h"

namespace icedit::e2e {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMib = int64_t{1} << 20;

// One of the tool's models, made once for all tests and processes of this run.
class RandomModel {
 public:
  explicit RandomModel(const std::string& sizes) {
    const std::string command =
        str("'", ICEDIT_MAKE_RANDOM_CHECKPOINT, "' '", path(), "' --tokenizers '", ICEDIT_SOURCE,
            "/models/nano/model' ", sizes,
            " --pooled 64 --clip-layers 2 --vae-channels "
            "32,32,32,32 --t5-vocab 300 --clip-vocab 800 >/dev/null 2>&1");
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
  }
  std::string path() const { return (folder_ / "model").string(); }
  int64_t transformer_bytes() const {
    return int64_t(
        fs::file_size(folder_ / "model/transformer/diffusion_pytorch_model.safetensors"));
  }

 private:
  TemporaryFolder folder_;
};

class Memory : public EditProgram {
 protected:
  // 340 MB of transformer and next to nothing else.
  static const RandomModel& wide_transformer() {
    static const RandomModel model("--double 1 --single 8 --hidden 1024 --joint 64 --t5-layers 2");
    return model;
  }
  // 290 MB of T5 and 110 MB of transformer.
  static const RandomModel& wide_t5() {
    static const RandomModel model(
        "--double 0 --single 5 --hidden 768 --joint 1024 --t5-layers 12");
    return model;
  }

  Result edit(const RandomModel& model, const std::string& name,
              const std::vector<std::string>& more) {
    std::vector<std::string> all = {"edit",
                                    "car.png",
                                    "make it winter",
                                    "--model",
                                    model.path(),
                                    "--no-lora",
                                    "--max-sequence-length",
                                    "64",
                                    "--width",
                                    "64",
                                    "--steps",
                                    "2",
                                    "--seed",
                                    "3",
                                    "--json",
                                    "-o",
                                    name};
    all.insert(all.end(), more.begin(), more.end());
    Limits limits;
    limits.environment = {{"XDG_CACHE_HOME", work() / "cache"}};
    return run(all, limits);
  }
  // The most bytes that were in memory at once, the pages of mapped files too.
  int64_t peak(const RandomModel& model, const std::string& name,
               const std::vector<std::string>& more) {
    const Result result = edit(model, name, more);
    EXPECT_EQ(result.code, 0) << result.err;
    return Json::parse(result.out)["peak_memory_bytes"];
  }
  static std::string megabytes(int64_t bytes) { return str(bytes / kMib, "M"); }
  // What the refusal of one that is too small says.
  int64_t least_budget(const RandomModel& model, std::vector<std::string> more) {
    more.insert(more.end(), {"--max-memory", "200M"});
    const Result refused = edit(model, "none.png", more);
    EXPECT_EQ(refused.code, 2);
    EXPECT_FALSE(fs::exists(work() / "none.png"));
    std::smatch found;
    EXPECT_TRUE(std::regex_search(
        refused.err, found,
        std::regex(
            "--max-memory 200\\.0 MiB is too little: with nothing but one block in memory at "
            "a time an edit of 4096 pixels takes about [0-9.]+ MiB; give --max-memory "
            "([0-9]+)M, or a smaller --width")))
        << refused.err;
    return found.empty() ? 0 : std::stoll(found[1]) * kMib;
  }
};

TEST_F(Memory, ABudgetIsKeptAndThePictureIsTheSame) {
  const RandomModel& model = wide_transformer();
  const int64_t whole = peak(model, "whole.png", {});
  const auto within = [&](int64_t budget) {
    const std::string name = megabytes(budget) + ".png";
    const int64_t most = peak(model, name, {"--max-memory", megabytes(budget)});
    EXPECT_LT(most, budget);
    EXPECT_EQ(output(name), output("whole.png"));
    return most;
  };
  const int64_t least = least_budget(model, {}), blocks = model.transformer_bytes();
  const int64_t one = within(least), some = within(least + blocks / 3);
  EXPECT_LT(one, whole - blocks / 2);
  EXPECT_LT(one, some - blocks / 8);
  EXPECT_LT(some, whole - blocks / 8);
}

TEST_F(Memory, FewerBitsTakeLess) {
  const RandomModel& model = wide_transformer();
  const int64_t blocks = model.transformer_bytes();
  const int64_t whole = peak(model, "whole.png", {});
  const int64_t eight = peak(model, "eight.png", {"--quant", "int8"});
  const int64_t four = peak(model, "four.png", {"--quant", "int4"});
  EXPECT_LT(eight, whole - blocks / 10);
  EXPECT_LT(four, eight - blocks / 8);
  EXPECT_GT(decibels("eight.png", "whole.png"), 40);
  EXPECT_GT(decibels("four.png", "whole.png"), 33);
  const int64_t least = least_budget(model, {"--quant", "int8"});
  EXPECT_LT(peak(model, "one.png", {"--quant", "int8", "--max-memory", megabytes(least)}), eight);
  EXPECT_EQ(output("one.png"), output("eight.png"));
}

TEST_F(Memory, ProductsOfGgufBlocksIn8BitsTakeLess) {
  const RandomModel& model = wide_transformer();
  ASSERT_EQ(
      run({"convert", "--quant", "q4_0", "--model", model.path(), "-o", "q4/model.gguf"}).code, 0);
  fs::copy_file(Path(model.path()) / "transformer/config.json", work() / "q4/config.json");
  const auto taken = [&](const std::string& how) {
    return peak(model, how + ".png", {"--transformer", "q4", "--gguf-compute", how});
  };
  EXPECT_LT(taken("int8"), taken("dequant") - model.transformer_bytes() / 3);
  EXPECT_GT(decibels("int8.png", "dequant.png"), 40);
}

// Of nano's edits docs/speed.md states medians: 56.1 and 43.3 dB.
TEST_F(Memory, FewerBitsAreAsNearAsIsStated) {
  const auto edited = [&](const std::string& name, const std::string& quant) {
    const Result result = run({"edit", "car.png", "make it winter", "--seed", "3", "--dtype", "f32",
                               "--quant", quant, "-o", name});
    EXPECT_EQ(result.code, 0) << result.err;
    return decibels(name, "exact.png");
  };
  edited("exact.png", "none");
  const double eight = edited("eight.png", "int8"), four = edited("four.png", "int4");
  EXPECT_GT(eight, 53);
  EXPECT_LT(eight, 99);
  EXPECT_GT(four, 39);
  EXPECT_LT(four, eight);
}

TEST_F(Memory, OneComponentAtATimeTakesLess) {
  const RandomModel& model = wide_t5();
  const int64_t all = peak(model, "all.png", {"--no-cache"});
  const int64_t one = peak(model, "one.png", {"--no-cache", "--low-memory"});
  EXPECT_LT(one, all - model.transformer_bytes() / 2);
  EXPECT_EQ(output("one.png"), output("all.png"));
}

TEST_F(Memory, APromptThatIsKnownNeedsNoTextEncoder) {
  const RandomModel& model = wide_t5();
  const int64_t computed = peak(model, "computed.png", {"--no-cache"});
  EXPECT_FALSE(fs::exists(work() / "cache"));
  peak(model, "kept.png", {});
  EXPECT_FALSE(fs::is_empty(work() / "cache/icedit/prompts"));
  const int64_t found = peak(model, "found.png", {});
  EXPECT_LT(found, computed - 200 * kMib);
  EXPECT_GT(peak(model, "again.png", {"--no-cache"}), found + 200 * kMib);
  for (const char* name : {"kept.png", "found.png", "again.png"})
    EXPECT_EQ(output(name), output("computed.png")) << name;
}

// VmHWM of a child, looked at until its end. Before it runs icedit it is a copy of this process.
int64_t watched(pid_t child) {
  int64_t peak = 0;
  siginfo_t ended = {};
  while (waitid(P_PID, id_t(child), &ended, WEXITED | WNOWAIT | WNOHANG) == 0 &&
         ended.si_pid == 0) {
    const std::string status = read_file(str("/proc/", child, "/status"));
    const size_t at = status.find("VmHWM:");
    if (status.starts_with("Name:\ticedit") && at != std::string::npos)
      peak = std::max(peak, std::stol(status.substr(at + 6)) << 10);
    usleep(2000);
  }
  return peak;
}

TEST_F(Memory, TrainingOnFewerBitsTakesLess) {
  write("run.yaml", str("flux_path: ", wide_transformer().path(), R"(
train:
  max_steps: 1
  dataloader_workers: 0
  sample_interval: 0
  max_sequence_length: 32
  gradient_checkpointing: true
  dataset: {type: edit, path: )",
                        golden("dataset/magicbrush.parquet"), R"(,
            condition_size: 64, target_size: 64}
  lora_config: {r: 4, lora_alpha: 4, target_modules: [to_q]}
)"));
  const auto step = [&](const std::string& quant) {
    const pid_t child =
        start({"train", "run.yaml", "--run-folder", quant, "--set", "train.base_quant=" + quant});
    const int64_t peak = watched(child);
    EXPECT_EQ(wait(child).code, 0) << error_so_far();
    const Json line = Json::parse(read_file(work() / quant / "metrics.jsonl"));
    return std::pair(peak, double(line["grad_norm"]));
  };
  const auto [exact, gradient] = step("none");
  const auto [eight, gradient8] = step("int8");
  const auto [four, gradient4] = step("int4");
  EXPECT_LT(eight, exact - 30 * kMib);
  EXPECT_LT(four, eight - 30 * kMib);
  EXPECT_NE(gradient8, gradient);
  EXPECT_NEAR(gradient8, gradient, 0.02 * gradient);
  EXPECT_NEAR(gradient4, gradient, 0.1 * gradient);
}

}  // namespace
}  // namespace icedit::e2e
