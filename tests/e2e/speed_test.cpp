// icedit edit --speed, --speed-error, --calls, --reuse-left: fewer calls of the network, or of
// less; and --solver.
#include "base/str.h"
#include "e2e/edit_program.h"

namespace icedit::e2e {
namespace {

using Json = nlohmann::json;

class Speed : public EditProgram {
 protected:
  // The result's JSON of an edit of 28 steps, always with the same seed.
  Json made(const std::string& name, std::vector<std::string> more) {
    std::vector<std::string> all = {"edit",    "car.png", "make it winter", "--seed", "3",
                                    "--steps", "28",      "--dtype",        "f32",    "-o",
                                    name,      "--json",  "--quiet"};
    all.insert(all.end(), more.begin(), more.end());
    const Result result = run(all);
    EXPECT_EQ(result.code, 0) << result.err;
    return Json::parse(result.out)["outputs"][0];
  }
};

TEST_F(Speed, FewerCallsNearlyTheSamePictureAndARecipeThatMakesItAgain) {
  EXPECT_FALSE(made("exact.png", {}).contains("speed"));
  const Json balanced = made("balanced.png", {"--speed", "balanced"});
  const Json fast = made("fast.png", {"--speed", "fast"});
  EXPECT_LT(balanced["speed"]["calls"], 20);
  EXPECT_LT(fast["speed"]["calls"], balanced["speed"]["calls"]);
  EXPECT_EQ(fast["speed"]["steps"], 28);
  EXPECT_GT(fast["speed"]["estimated_db"], 50.0);
  EXPECT_GT(decibels("fast.png", "exact.png"), 48);
  EXPECT_GT(decibels("balanced.png", "exact.png"), 48);
  EXPECT_NE(output("fast.png"), output("exact.png"));

  EXPECT_EQ(inspect("fast.png")["recipe"]["speed"], fast["speed"]);
  ASSERT_EQ(
      run({"edit", "car.png", "--recipe", "fast.png", "--dtype", "f32", "-o", "again.png"}).code,
      0);
  EXPECT_EQ(output("again.png"), output("fast.png"));
}

TEST_F(Speed, TheNumberOfCallsOrABoundCanBeGivenAlsoOfALine) {
  EXPECT_EQ(made("five.png", {"--calls", "5"})["speed"]["calls"], 5);
  // `exact`, which gives way, is not stored beside it, nor is what a bound overrules.
  const Json bound = made("bound.png", {"--speed", "fast", "--speed-error", "58"});
  EXPECT_EQ(bound["settings"]["speed_error"], 58);
  EXPECT_FALSE(bound["settings"].contains("speed"));
  EXPECT_FALSE(
      made("given.png", {"--speed", "exact", "--calls", "5"})["settings"].contains("speed"));
  EXPECT_FALSE(made("all.png", {"--calls", "28"})["speed"].contains("estimated_db"));
  const Json loose = made("loose.png", {"--speed-error", "45"});
  const Json tight = made("tight.png", {"--speed-error", "58"});
  EXPECT_LT(loose["speed"]["calls"], tight["speed"]["calls"]);
  EXPECT_GT(tight["speed"]["estimated_db"], 57.9);

  write("lines.jsonl",
        "{\"image\": \"car.png\", \"instruction\": \"make it winter\", \"steps\": 28, \"calls\": "
        "5}\n");
  ASSERT_EQ(run({"edit", "lines.jsonl", "--seed", "3", "--dtype", "f32", "-o", "out/"}).code, 0);
  EXPECT_EQ(output("out/car.png"), output("five.png"));
}

TEST_F(Speed, ADryRunRefusesWhatTheEditWould) {
  const std::vector<std::string> one = {"edit", "car.png", "make it winter", "--calls", "1"};
  const Result edit = run(one);
  std::vector<std::string> dry = one;
  dry.push_back("--dry-run");
  const Result dry_run = run(dry);
  EXPECT_EQ(dry_run.code, 2);
  EXPECT_EQ(edit.code, 2);
  EXPECT_NE(edit.err.find("calls is 1, expected"), std::string::npos) << edit.err;
  EXPECT_NE(dry_run.err.find("calls is 1, expected"), std::string::npos) << dry_run.err;
}

// Its own LoRA four times as strong makes nano's velocity rough.
TEST_F(Speed, ARoughModelAsksMoreOftenAndIsNotWorse) {
  const std::string lora = (Path(ICEDIT_SOURCE) / "models/nano/lora").string();
  const Json plain = made("plain.png", {"--speed", "fast"});
  const Json rough = made("rough.png", {"--speed", "fast", "--lora", lora + ":4"});
  made("rough-exact.png", {"--lora", lora + ":4"});
  EXPECT_GT(rough["speed"]["calls"], int(plain["speed"]["calls"]) + 3);
  EXPECT_GT(decibels("rough.png", "rough-exact.png"), 48);
}

TEST_F(Speed, CallsWithoutTheLeftHalfMakeNearlyTheSamePictureAndAreInTheRecipe) {
  made("exact.png", {});
  made("each.png", {"--reuse-left", "1"});
  EXPECT_EQ(output("each.png"), output("exact.png"));
  made("second.png", {"--reuse-left", "2"});
  made("fourth.png", {"--reuse-left", "4"});
  EXPECT_GT(decibels("second.png", "exact.png"), 48);
  EXPECT_GT(decibels("fourth.png", "exact.png"), 40);
  EXPECT_LT(decibels("fourth.png", "exact.png"), decibels("second.png", "exact.png"));
  const Json both = made("both.png", {"--reuse-left", "2", "--calls", "11"});
  EXPECT_EQ(both["speed"]["calls"], 11);
  EXPECT_GT(decibels("both.png", "exact.png"), 45);

  EXPECT_FALSE(inspect("exact.png")["recipe"]["edit"].contains("reuse-left"));
  ASSERT_EQ(
      run({"edit", "car.png", "--recipe", "fourth.png", "--dtype", "f32", "-o", "again.png"}).code,
      0);
  EXPECT_EQ(output("again.png"), output("fourth.png"));
}

// Against 64 Euler steps, which are as good as none left out.
TEST_F(Speed, ASolverOfTheSecondOrderEndsNearerWithAsManySteps) {
  made("truth.png", {"--steps", "64"});
  for (const std::string solver : {"euler", "ab2", "dpmpp-2m"}) {
    made(solver + ".png", {"--steps", "8", "--solver", solver});
    EXPECT_EQ(inspect(solver + ".png")["recipe"]["edit"]["solver"], solver);
    EXPECT_GT(decibels(solver + ".png", "truth.png"), 40) << solver;
  }
  EXPECT_GT(decibels("ab2.png", "truth.png"), decibels("euler.png", "truth.png") + 3);
  EXPECT_NE(output("dpmpp-2m.png"), output("euler.png"));
}

TEST_F(Speed, WhatCannotBeIsSaid) {
  const std::vector<std::string> edit = {"edit", "car.png", "x", "--steps", "8"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), edit.begin(), edit.end());
    return more;
  };
  expect_failure(with({"--calls", "9"}), 2, "calls is 9, expected a whole number from 2 to 8");
  for (const char* calls : {"0", "-1", "many", "10001"}) {
    expect_failure(with({"--calls", calls}), 2,
                   str("--calls is '", calls,
                       "', expected a whole number from 2 to the number of "
                       "steps (1 of one step)"));
  }
  expect_failure(with({"--calls", "4", "--speed", "fast"}), 2, "calls is 4 beside speed");
  expect_failure(with({"--calls", "4", "--solver", "ab2"}), 2,
                 "calls goes only with solver euler; with another, take fewer steps");
  expect_failure(with({"--reuse-left", "0"}), 2, "--reuse-left is '0', expected a whole number");
  expect_failure(with({"--solver", "heun"}), 2, "expected euler, ab2 or dpmpp-2m");
  expect_failure(with({"--speed", "quick"}), 2, "expected exact, balanced or fast");
  expect_failure(with({"--speed-error", "5"}), 2, "a number from 20 to 80");
}

}  // namespace
}  // namespace icedit::e2e
