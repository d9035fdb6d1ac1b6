#include "cli/plan.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/temporary_folder.h"
#include "golden.h"
#include "io/files.h"

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

// Of nano, of which less stays where less may.
TEST_F(Plan, ALimitStandsOnceAndIsTheRows) {
  const auto nano = [](const Arguments& more) {
    Arguments all = {"--threads", "1", "--json", "--quant", "int8"};
    all.insert(all.end(), more.begin(), more.end());
    return nlohmann::json::parse(run(all));
  };
  const auto plan = nano({});
  ASSERT_EQ(plan["rows"].size(), 3u);
  EXPECT_EQ(plan["rows"][0]["flags"], "");
  for (size_t i = 1; i < 3; ++i) {
    const auto row = plan["rows"][i];
    const std::string flags = row["flags"], limit = flags.substr(flags.rfind(' ') + 1);
    EXPECT_EQ(flags, " --max-memory " + limit);
    EXPECT_EQ(limit.back(), 'M') << limit;
    EXPECT_LT(row["peak_bytes"], plan["rows"][i - 1]["peak_bytes"]);
    const auto again = nano({"--max-memory", limit});
    ASSERT_EQ(again["rows"].size(), 1u);
    EXPECT_EQ(again["rows"][0]["peak_bytes"], row["peak_bytes"]);
    EXPECT_EQ(again["rows"][0]["residency"], row["residency"]);
    EXPECT_EQ(again["rows"][0]["flags"], "");
    EXPECT_EQ(again["command"],
              "icedit edit PICTURE \"INSTRUCTION\" --threads 1 --quant int8 --max-memory " + limit);
  }
}

TEST_F(Plan, WhatReadingTakesStandsApart) {
  EXPECT_GE(edit({"--width", "64"})["reading_seconds"], 0);
  testing::internal::CaptureStdout();
  print_plan({}, "edit", {}, /*json=*/false, 65);
  const std::string text = testing::internal::GetCapturedStdout();
  EXPECT_NE(text.find("\n1:05 more where the model's files have to be read"), std::string::npos)
      << text;
}

TEST_F(Plan, OfWhatAnEditRefusesIsNone) {
  EXPECT_THROW(edit({"--calls", "1"}), UsageError);
  EXPECT_THROW(edit({"--steps", "4", "--calls", "5"}), UsageError);
}

TEST_F(Plan, WhatIsTheSameStandsOnce) {
  const auto plan = edit({"--width", "64"});
  std::set<std::string> rows;
  for (const auto& row : plan["rows"])
    rows.insert(str(row["precision"], row["residency"], row["peak_bytes"]));
  EXPECT_EQ(rows.size(), plan["rows"].size()) << plan;
}

TEST_F(Plan, PlaceholdersAreOfWhatWasNotGiven) {
  const CommandFolder folder;
  const std::string picture = folder.picture("cat.png");
  const std::string options = str(" --model ", golden::path("tiny-fill").string(),
                                  " --threads 1 --width 64 --quant int8 --max-memory 2G");
  const auto command = [](Arguments more) {
    more.insert(more.begin(), {"--width", "64", "--quant", "int8", "--max-memory", "2G"});
    return edit(more)["command"].get<std::string>();
  };
  EXPECT_EQ(command({}), "icedit edit PICTURE \"INSTRUCTION\"" + options);
  EXPECT_EQ(command({"make it winter"}), "icedit edit PICTURE" + options + " 'make it winter'");
  EXPECT_EQ(command({picture}), str("icedit edit", options, " ", picture, " \"INSTRUCTION\""));
  EXPECT_EQ(command({picture, "x y"}), str("icedit edit", options, " ", picture, " 'x y'"));
  EXPECT_EQ(command({picture, "--then", "x"}),
            str("icedit edit", options, " ", picture, " --then x"));
  EXPECT_EQ(with_flags({"a b", "--json", "--", "-c"}, " --quant int8"),
            " 'a b' --quant int8 -- -c");
}

TEST_F(Plan, ProductsOfGgufBlocksIn8BitsAreNamed) {
  const CommandFolder folder;
  const Path tiny = golden::path("tiny-fill/transformer/config.json");
  const std::string config = folder.write("config.json", read_file(tiny));
  folder.write("model.gguf", read_file(golden::path("gguf/tiny-fill-q4_0.gguf")));
  const auto name = [&](const std::string& how) {
    return edit({"--transformer", Path(config).parent_path().string(), "--width", "64", "--dtype",
                 "f32", "--max-memory", "2G", "--gguf-compute", how})["rows"][0]["precision"];
  };
  EXPECT_EQ(name("dequant"), "Q4_0, float32");
  EXPECT_EQ(name("int8"), "Q4_0 in int8, float32");
}

TEST_F(Plan, HowARunIsShownIsNotItsConcern) {
  const std::string help = run({"--help"});
  for (const char* option : {"--dry-run", "--preview", "--preview-full"}) {
    EXPECT_EQ(help.find(option), std::string::npos) << option;
    const std::string text = error_of<UsageError>([&] { run({option, "3"}); });
    EXPECT_NE(text.find("icedit plan has no option"), std::string::npos) << text;
  }
  EXPECT_NE(help.find("--quant"), std::string::npos);
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
