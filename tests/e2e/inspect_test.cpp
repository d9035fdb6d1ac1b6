// icedit inspect, and what the program says about itself.
#include <nlohmann/json.hpp>

#include "e2e/program.h"

namespace icedit::e2e {
namespace {

using Json = nlohmann::json;

class Inspect : public Program {
 protected:
  Json json(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "inspect");
    arguments.push_back("--json");
    const Result result = run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return Json::parse(result.out, nullptr, false);
  }
};

TEST_F(Inspect, Models) {
  const Json nano = json({"nano"});
  EXPECT_EQ(nano["kind"], "model");
  EXPECT_EQ(nano["defaults"]["width"], 96);
  EXPECT_EQ(nano["components"]["transformer"]["dtypes"].size(), 1u);
  EXPECT_EQ(json({golden("tiny-fill")})["defaults"]["width"], 512);
  EXPECT_TRUE(has(run({"inspect", golden("tiny-fill")}).out, "T5 encoder"));
}

TEST_F(Inspect, Checkpoints) {
  const Json t = json({golden("tiny-fill-sharded/transformer"), "--check"});
  EXPECT_EQ(t["kind"], "checkpoint");
  EXPECT_EQ(t["files"], 3);
  EXPECT_EQ(t["tensors"], 126);
  EXPECT_EQ(t["finite"], true);
  EXPECT_TRUE(has(t["what"], "Fill (384 input channels)"));
  int blocks = 0;
  for (const Json& group : t["groups"]) {
    if (group.contains("block")) blocks += group["last"].get<int>() - group["first"].get<int>() + 1;
  }
  EXPECT_EQ(blocks, 5);
  EXPECT_TRUE(has(run({"inspect", golden("tiny-fill/transformer")}).out, "3 x single block"));
}

TEST_F(Inspect, Adapters) {
  const Json kohya = json({golden("lora/kohya/lora.safetensors")});
  EXPECT_EQ(kohya["layout"], "kohya");
  EXPECT_EQ(kohya["ranks"], Json({4.0}));
  EXPECT_EQ(kohya["alphas"], Json({2.0}));
  const Json peft = json({golden("lora/alpha8_peft"), "--all", "--model", golden("tiny-fill")});
  EXPECT_EQ(peft["layout"], "peft");
  EXPECT_EQ(peft["alphas"], Json({8.0}));
  EXPECT_EQ(peft["deltas"].size(), 31u);
  EXPECT_EQ(peft["compared"]["fitting"], 31);
  const Json moe = json({golden("moe")});
  EXPECT_EQ(moe["layout"], "icedit-moe");
  EXPECT_EQ(moe["experts"], Json({4.0}));
  const Json nano =
      json({(Path(ICEDIT_SOURCE) / "models/nano/lora").string(), "--model", golden("tiny-fill")});
  EXPECT_EQ(nano["fits"], "the nano model; 384 input channels (Fill)");
  EXPECT_EQ(nano["compared"]["fitting"], 0);
}

TEST_F(Inspect, Pictures) {
  copy(asset("cat.jpg"), "cat.jpg");
  const Json cat = json({"cat.jpg"});
  EXPECT_EQ(cat["format"], "JPEG");
  EXPECT_FALSE(cat.contains("recipe"));
  EXPECT_TRUE(has(run({"inspect", "cat.jpg"}).out, "no recipe"));
}

TEST_F(Inspect, ARecipeBeginsWithWhatPeopleLookForAndACommandToPaste) {
  copy(asset("desert-car.png"), "my car's.png");
  ASSERT_EQ(run({"edit", "my car's.png", "make it red", "--steps", "1", "-o", "a $b.png"}).code, 0);
  const std::string out = run({"inspect", "a $b.png"}).out;
  EXPECT_TRUE(has(out,
                  "icedit edit 'my car'\\''s.png' --recipe 'a $b.png'\n  instruction  make it "
                  "red\n  seed  "))
      << out;
  EXPECT_LT(out.find("model.name"), out.find("model.transformer.sha256"));
  EXPECT_LT(out.find("adapters.0.scale"), out.find("model.transformer.sha256"));
}

TEST_F(Inspect, WhatIsNotThereOrNothingThatIsKnown) {
  expect_failure({"inspect", "nowhere.png"}, 69, "nowhere.png");
  write("text.txt", "hello");
  expect_failure({"inspect", "text.txt"}, 66, "text.txt: icedit inspect knows checkpoints");
  write("a b.parquet", "PAR1");
  expect_failure({"inspect", "a b.parquet"}, 66, "`icedit data check 'a b.parquet'`");
  expect_failure({"inspect", (Path(ICEDIT_SOURCE) / "models/nano").string()}, 69, "nano/model");
  expect_failure({"inspect"}, 2, "takes one file");
  write("x.safetensors", "hello");
  expect_failure({"inspect", "x.safetensors"}, 1, "x.safetensors");
}

TEST_F(Inspect, TheProgramItself) {
  const Result alone = run({});
  EXPECT_EQ(alone.code, 2);
  EXPECT_TRUE(has(alone.err, "icedit edit photo.jpg"));
  EXPECT_EQ(run({"--version"}).out.substr(0, 7), "icedit ");
  EXPECT_EQ(run({"version"}).out, run({"--version"}).out);
  for (const char* command : {"edit", "inspect", "stage"}) {
    const Result help = run({command, "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_TRUE(has(help.out, "Exit codes")) << command;
    EXPECT_EQ(run({"help", command}).out, help.out);
  }
  expect_failure({"edti", "a.png"}, 2, "did you mean 'edit'?");
  expect_failure({"edit", "--giudance", "3"}, 2, "did you mean '--guidance'?");
  expect_failure({"frobnicate"}, 2, "no command");
}

}  // namespace
}  // namespace icedit::e2e
