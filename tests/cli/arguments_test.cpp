#include "cli/arguments.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "cli/temporary_folder.h"

namespace icedit::cli {
namespace {

struct Parsed {
  std::string steps, output;
  std::vector<std::string> loras, rest;
  bool force = false;
};

std::vector<SettingGroup> groups(Parsed& p) {
  return {
      {"Some",
       {{"steps, num-inference-steps", "N", "", "", into(p.steps)},
        {"output, o", "PATH", "the file to write", "", into(p.output)},
        {"force, f", "", "", "", into(p.force)},
        {"lora", "PATH", "", "", [&p](const Given& given) { p.loras.push_back(given.text); }}}}};
}

Parsed parse(const std::vector<std::string>& arguments) {
  Parsed p;
  p.rest = parse_arguments("edit", groups(p), arguments);
  return p;
}

std::string error(const std::vector<std::string>& arguments) {
  return error_of<UsageError>([&] { parse(arguments); });
}

TEST(Arguments, OptionsAndTheRestInAnyOrder) {
  const Parsed p = parse({"a.png", "--steps", "4", "make it winter", "-o", "b.png", "-f"});
  EXPECT_EQ(p.steps, "4");
  EXPECT_EQ(p.output, "b.png");
  EXPECT_TRUE(p.force);
  EXPECT_EQ(p.rest, (std::vector<std::string>{"a.png", "make it winter"}));
}

TEST(Arguments, EqualSignsAliasesAndUnderscores) {
  EXPECT_EQ(parse({"--steps=4"}).steps, "4");
  EXPECT_EQ(parse({"--num-inference-steps", "5"}).steps, "5");
  EXPECT_EQ(parse({"--num_inference_steps=6"}).steps, "6");
  EXPECT_EQ(parse({"--output=a_b=c.png"}).output, "a_b=c.png");
}

TEST(Arguments, RepeatedOnesComeInOrderAndTheLastOfASingleOneCounts) {
  EXPECT_EQ(parse({"--lora", "a:0.5", "--lora", "[b,c]"}).loras,
            (std::vector<std::string>{"a:0.5", "[b,c]"}));
  EXPECT_EQ(parse({"--steps", "4", "--steps", "8"}).steps, "8");
}

TEST(Arguments, WhatLooksLikeASpecialThingIsText) {
  EXPECT_EQ(parse({"[a, b]", "-5"}).rest, (std::vector<std::string>{"[a, b]", "-5"}));
  EXPECT_EQ(parse({"a.png", "--", "--make it red", "-x"}).rest,
            (std::vector<std::string>{"a.png", "--make it red", "-x"}));
  EXPECT_EQ(parse({"a.png", ""}).rest, (std::vector<std::string>{"a.png", ""}));
  EXPECT_EQ(parse({"--steps", "-4"}).steps, "-4");
}

TEST(Arguments, UnknownOptionsNameTheNearest) {
  EXPECT_EQ(error({"--stpes", "4"}),
            "icedit edit has no option '--stpes'; did you mean '--steps'? (icedit edit --help "
            "lists them)");
  EXPECT_EQ(error({"--banana=1"}),
            "icedit edit has no option '--banana' (icedit edit --help lists them)");
  // Of one letter every other is one slip away.
  EXPECT_EQ(error({"-z"}), "icedit edit has no option '-z' (icedit edit --help lists them)");
  EXPECT_NE(error({"-O"}).find("did you mean '-o'?"), std::string::npos);
  EXPECT_EQ(error({"-make it red"}),
            "'-make it red' looks like an option; put -- before a text that begins with a dash");
}

TEST(Arguments, AMissingValueIsNamed) {
  const std::string expected = ", expected PATH: the file to write";
  EXPECT_EQ(error({"a.png", "--output"}), "--output has no value" + expected);
  EXPECT_EQ(error({"a.png", "-o"}), "--output has no value" + expected);
  EXPECT_EQ(error({"--output", "--force"}),
            "--output has no value: the next word is --force" + expected);
  EXPECT_EQ(error({"--output", "--", "a"}),
            "--output has no value: the next word is --" + expected);
  EXPECT_EQ(error({"--output", ""}), "--output is empty" + expected);
  EXPECT_EQ(error({"--output="}), "--output has no value" + expected);
}

}  // namespace
}  // namespace icedit::cli
