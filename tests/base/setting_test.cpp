#include "base/setting.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace icedit {
namespace {

template <class Call>
std::string usage_error(const Call& call) {
  try {
    call();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(OptionValue, WholeNumbersAreReadToTheirEnd) {
  EXPECT_EQ(integer_value({"--steps", "28"}, 1, 100), 28);
  EXPECT_EQ(integer_value({"--seed", "-5"}, INT64_MIN), -5);
  for (const char* bad :
       {"", "many", "28.5", "28 ", " 28", "0", "101", "1e3", "99999999999999999999"}) {
    EXPECT_EQ(usage_error([&] {
                integer_value({"--steps", bad}, 1, 100);
              }),
              std::string("--steps is '") + bad + "', expected a whole number from 1 to 100");
  }
}

TEST(OptionValue, NumbersAreReadToTheirEnd) {
  EXPECT_DOUBLE_EQ(number_value({"--guidance", "3.5e1"}, 0, 100), 35);
  EXPECT_DOUBLE_EQ(number_value({"--guidance", "+2"}, 0, 100), 2);
  for (const char* bad : {"", "x", "1,5", "nan", "inf", "-1", "1e300"}) {
    EXPECT_NE(usage_error([&] { number_value({"--guidance", bad}, 0, 100); }), "") << bad;
  }
}

TEST(OptionValue, ChoicesAreListedAndTheNearestIsNamed) {
  EXPECT_EQ(choice_index({"--sizing", "icedit"}, {"fit", "icedit"}), 1u);
  EXPECT_EQ(usage_error([] {
              choice_index({"--sizing", "icedti"}, {"fit", "icedit", "other"});
            }),
            "--sizing is 'icedti', expected fit, icedit or other; did you mean 'icedit'?");
}

TEST(OptionValue, SwitchesKnowSeveralWords) {
  EXPECT_TRUE(switch_value({"x", "yes"}));
  EXPECT_FALSE(switch_value({"x", "0"}));
  EXPECT_EQ(usage_error([] {
              switch_value({"x", "maybe"});
            }),
            "x is 'maybe', expected true or false");
}

TEST(OptionByKey, DashesAndUnderscoresAndAliases) {
  std::string steps;
  const std::vector<Setting> options = {{"num-steps, inference-steps", "N", "", "", into(steps)}};
  for (const char* key : {"num-steps", "num_steps", "inference_steps"}) {
    steps.clear();
    set_by_key(options, "x.jsonl, line 2", key, {"", "7"});
    EXPECT_EQ(steps, "7") << key;
  }
  EXPECT_EQ(usage_error([&] {
              set_by_key(options, "x.jsonl, line 2", "num_setps", {"", "7"});
            }),
            "x.jsonl, line 2: unknown key 'num_setps'; did you mean 'num_steps'?");
}

// What a shell leaves of --option=~/x, and a batch's line.
TEST(OptionByKey, APathMayBeginAtTheUsersFolder) {
  std::string path, text;
  const std::vector<Setting> options = {{"mask", "FILE", "", "", into(path)},
                                        {"instruction", "TEXT", "", "", into(text)}};
  const std::string home = std::getenv("HOME") != nullptr ? std::getenv("HOME") : "";
  ::setenv("HOME", "/home/me", 1);
  for (const auto& [given, want] : {std::pair("~/a b", "/home/me/a b"),
                                    {"~", "/home/me"},
                                    {"~you/a", "~you/a"},
                                    {"a/~/b", "a/~/b"},
                                    {"./~", "./~"}}) {
    set_by_key(options, "x.jsonl, line 2", "mask", {"", given});
    EXPECT_EQ(path, want);
  }
  set_by_key(options, "x.jsonl, line 2", "instruction", {"", "~/a"});
  EXPECT_EQ(text, "~/a");
  ::setenv("HOME", home.c_str(), 1);
}

}  // namespace
}  // namespace icedit
