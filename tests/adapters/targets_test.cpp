#include "adapters/targets.h"

#include <algorithm>

#include "base/str.h"
#include "flux_modules.h"
#include "tiny_model.h"

namespace icedit {
namespace {

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return names;
}

// The tiny model's first blocks, so many times.
std::vector<std::string> full_size_names() {
  std::vector<std::string> names;
  for (const auto& [bfl, modules] : flux_modules()) {
    const int64_t count = bfl.starts_with("double_blocks.0.")         ? 19
                          : bfl.starts_with("single_blocks.0.")       ? 38
                          : bfl.find("_blocks.") != std::string::npos ? 0
                                                                      : 1;
    for (int64_t i = 0; i < count; ++i) {
      for (std::string name : modules) {
        if (count > 1) name.replace(name.find(".0."), 3, str(".", i, "."));
        names.push_back(name);
      }
    }
  }
  return names;
}

TEST(Targets, ICEditsExpressionTakesTheSameModules) {
  const JsonFile golden(golden::path("lora/targets.json"));
  std::vector<std::string> tiny;
  const FluxTransformer model = tiny_model();
  for (const auto& [path, linear] : model.linears()) tiny.push_back(path);
  const std::string expression = golden.text("expression");
  EXPECT_EQ(sorted(match_targets(tiny, expression)), sorted(golden.texts("tiny")));

  const auto full = match_targets(full_size_names(), expression);
  EXPECT_EQ(full.size(), 343u);
  EXPECT_EQ(sorted(full), sorted(golden.texts("full_size")));
}

TEST(Targets, ShapesOfTheTargets) {
  const JsonFile shapes = JsonFile(golden::path("lora/targets.json")).object("tiny_shapes");
  const FluxTransformer model = tiny_model();
  const std::map<std::string, Linear> linears(model.linears().begin(), model.linears().end());
  for (const auto& name : shapes.keys()) {
    const Linear& linear = linears.at(name);
    EXPECT_EQ((std::vector<int64_t>{linear.out(), linear.in()}), shapes.integers(name)) << name;
  }
}

TEST(Targets, ListsAreEndings) {
  const std::vector<std::string> names = {"proj_out", "single.0.proj_out", "a.to_q", "b.to_q.x",
                                          "xto_q"};
  EXPECT_EQ(match_targets(names, std::vector<std::string>{"proj_out"}),
            (std::vector<std::string>{"proj_out", "single.0.proj_out"}));
  EXPECT_EQ(match_targets(names, std::vector<std::string>{"to_q"}),
            (std::vector<std::string>{"a.to_q"}));
  EXPECT_EQ(match_targets(names, std::string("all-linear")), names);
}

TEST(Targets, WhatMatchesNothingNamesTheNearest) {
  const std::vector<std::string> names = {"transformer_blocks.0.attn.to_q", "proj_out"};
  std::string error =
      error_of<UsageError>([&] { match_targets(names, std::string(R"(.*attn\.to_qq)")); });
  EXPECT_TRUE(has(
      error,
      "matches none of the model's 2 modules; the nearest are [transformer_blocks.0.attn.to_q"));
  error = error_of<UsageError>([&] {
    match_targets(names, std::vector<std::string>{"proj_out", "proj_in"});
  });
  EXPECT_TRUE(has(error, "'proj_in' matches none"));
  EXPECT_TRUE(has(error, "[proj_out"));
  error = error_of<UsageError>([&] { match_targets(names, std::vector<std::string>{}); });
  EXPECT_TRUE(has(error, "the list is empty"));
}

TEST(Targets, BadExpressions) {
  const std::vector<std::string> names = {"a"};
  for (const std::string bad : {"(", "a{2", "[", "*", "(?<!a+)b"}) {
    const std::string error = error_of<UsageError>([&] { match_targets(names, bad); });
    EXPECT_TRUE(has(error, "target_modules")) << bad;
  }
  // One that backtracks for ever ends.
  const std::vector<std::string> slow(1, str(std::string(60, 'a'), "b"));
  const std::string error =
      error_of<UsageError>([&] { match_targets(slow, std::string("(a|a|aa)*c")); });
  EXPECT_FALSE(error.empty());
}

TEST(Targets, PythonsNamedGroups) {
  EXPECT_EQ(match_targets({"a.b"}, std::string(R"((?P<head>a)\.b)")).size(), 1u);
}

}  // namespace
}  // namespace icedit
