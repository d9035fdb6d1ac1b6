#include "cli/plan.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/temporary_folder.h"
#include "golden.h"

namespace icedit::cli {
namespace {

class Plan : public testing::Test {
 protected:
  Plan() { log::set_level(log::Level::kQuiet); }

  static std::string run(Arguments arguments) {
    testing::internal::CaptureStdout();
    try {
      run_plan(arguments);
    } catch (...) {
      testing::internal::GetCapturedStdout();
      throw;
    }
    return testing::internal::GetCapturedStdout();
  }
  static nlohmann::json edit(const Arguments& more) {
    Arguments all = {"--model", golden::path("tiny-fill").string(), "--threads", "1", "--json"};
    all.insert(all.end(), more.begin(), more.end());
    return nlohmann::json::parse(run(all));
  }
};

TEST_F(Plan, OfAnEdit) {
  const auto plan = edit({"--width", "64"});
  ASSERT_GE(plan["rows"].size(), 2u);
  EXPECT_EQ(plan["rows"][0]["precision"], "float32");
  EXPECT_EQ(plan["rows"][0]["flags"], "");
  bool int8 = false;
  for (const auto& row : plan["rows"]) {
    EXPECT_GT(row["peak_bytes"], 0);
    EXPECT_GT(row["seconds"], 0);
    int8 = int8 || row["precision"] == "int8";
  }
  EXPECT_TRUE(int8);
  const std::string command = plan["command"];
  EXPECT_TRUE(command.starts_with("icedit edit PICTURE \"INSTRUCTION\" --model ")) << command;
  EXPECT_EQ(command.find("--json"), std::string::npos) << command;
}

TEST_F(Plan, TakesWhatIsAskedFor) {
  const auto plan = edit({"--width", "64", "--quant", "int8", "--max-memory", "2G"});
  ASSERT_EQ(plan["rows"].size(), 1u);
  EXPECT_EQ(plan["rows"][0]["precision"], "int8");
  const auto seconds = [&](const std::string& steps) {
    return edit({"--width", "64", "--dtype", "f32", "--steps", steps})["rows"][0]["seconds"]
        .get<double>();
  };
  EXPECT_GT(seconds("1000"), seconds("1"));
}

TEST_F(Plan, Table) {
  const std::string text = run({"--model", golden::path("tiny-fill").string(), "--width", "64"});
  EXPECT_TRUE(text.starts_with("precision ")) << text;
  EXPECT_NE(text.find("the fastest that fits:\n  icedit edit "), std::string::npos) << text;
}

TEST_F(Plan, BadInput) {
  EXPECT_THROW(edit({"--max-memory", "1M"}), UsageError);
  EXPECT_THROW(edit({"no-such.png"}), NoInputError);
  EXPECT_THROW(run({"--model", "no/such-model"}), Error);
  EXPECT_THROW(run({"train", "no-such.yaml"}), NoInputError);
}

TEST_F(Plan, OfATraining) {
  const CommandFolder folder;
  const std::string yaml = str("flux_path: ", golden::path("tiny-fill").string(), R"(
dtype: float32
train:
  batch_size: 2
  dataset: {type: edit, path: data, condition_size: 64, target_size: 64}
  lora_config: {r: 2, lora_alpha: 2, target_modules: ".*to_q"}
  optimizer: {type: AdamW, params: {lr: 1e-3}}
)");
  const auto plan = nlohmann::json::parse(
      run({"train", folder.write("a.yaml", yaml), "--json", "--threads", "1"}));
  ASSERT_EQ(plan["rows"].size(), 2u);
  EXPECT_EQ(plan["rows"][0]["residency"], "all kept");
  EXPECT_EQ(plan["rows"][1]["flags"], " --set train.gradient_checkpointing=true");
  EXPECT_GT(plan["rows"][0]["peak_bytes"], plan["rows"][1]["peak_bytes"]);
}

}  // namespace
}  // namespace icedit::cli
