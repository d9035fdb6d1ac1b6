#include "cli/model_options.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "cli/temporary_folder.h"
#include "edit/prompt_cache.h"

namespace icedit::cli {
namespace {

void expect_adapter(const std::string& text, const std::string& path, double scale) {
  const AdapterRequest adapter = parse_adapter({"--lora", text});
  EXPECT_EQ(adapter.path, path) << text;
  EXPECT_DOUBLE_EQ(adapter.scale, scale) << text;
}

TEST(AdapterArgument, ALastNumberIsTheScale) {
  expect_adapter("a/lora", "a/lora", 1);
  expect_adapter("a/lora:0.5", "a/lora", 0.5);
  expect_adapter("a/lora:-1", "a/lora", -1);
  expect_adapter("a/lora:1e-2", "a/lora", 0.01);
  expect_adapter("a/lora:0", "a/lora", 0);
  expect_adapter("org/name/file.safetensors:2", "org/name/file.safetensors", 2);
  expect_adapter("org/name@main:2", "org/name@main", 2);
  expect_adapter("a:b", "a:b", 1);
  expect_adapter("a:b:0.5", "a:b", 0.5);
  expect_adapter("a:", "a:", 1);
}

TEST(AdapterArgument, APathThatExistsIsTakenAsItIs) {
  const CommandFolder folder;
  const std::string file = folder.write("x:0.5", "");
  expect_adapter(file, file, 1);
  expect_adapter(file + ":2", file, 2);
}

TEST(AdapterArgument, Refused) {
  for (const char* bad : {"", ":0.5", "a:nan", "a:inf", "a:1e99"}) {
    EXPECT_NE(error_of<UsageError>([&] { parse_adapter({"--lora", bad}); }), "") << bad;
  }
}

TEST(AdapterChoice, TheModelsOwnUnlessOthersOrNoneAreAskedFor) {
  ModelDefaults defaults;
  defaults.lora = "own.safetensors";
  ModelOptions options;
  ASSERT_EQ(adapters_of(options, defaults).size(), 1u);
  EXPECT_EQ(adapters_of(options, defaults)[0].path, "own.safetensors");
  options.adapters = {{"other", 0.5}};
  EXPECT_EQ(adapters_of(options, defaults)[0].path, "other");
  options.no_lora = true;
  EXPECT_NE(error_of<UsageError>([&] { adapters_of(options, defaults); }), "");
  options.adapters.clear();
  EXPECT_TRUE(adapters_of(options, defaults).empty());
}

class MaxMemory : public ::testing::TestWithParam<const char*> {};

TEST_P(MaxMemory, IsASizeWithItsUnit) {
  ModelOptions options;
  const SettingGroup group = machine_options(options);
  const std::string name = GetParam();
  const auto limit = [&](const std::string& text) {
    for (const Setting& setting : group.settings)
      if (setting.name == name) setting.set({"--" + name, text});
    return (name == "max-vram" ? options.memory.vram : options.memory.most).value_or(0);
  };
  constexpr uint64_t kGib = uint64_t{1} << 30;
  EXPECT_EQ(limit("12G"), 12 * kGib);
  EXPECT_EQ(limit("7.5GiB"), 15 * kGib / 2);
  EXPECT_EQ(limit("512 MB"), kGib / 2);
  for (const char* bad : {"", "12", "G", "0G", "-1G", "12GB/s", "12X", "nanG"}) {
    const std::string text = error_of<UsageError>([&] { limit(bad); });
    EXPECT_NE(text.find("such as 12G or 800M"), std::string::npos) << bad << ": " << text;
  }
  EXPECT_EQ(limit("900000T"), 900000 * 1024 * kGib);
  for (const char* large : {"999999999999G", "900001T", "1e30T", "infG"}) {
    EXPECT_EQ(error_of<UsageError>([&] { limit(large); }),
              str("--", name, " is '", large, "', expected a size of at most 900000T"));
  }
}

INSTANTIATE_TEST_SUITE_P(AndVram, MaxMemory, ::testing::Values("max-memory", "max-vram"),
                         [](const auto& info) { return std::string(info.param).substr(4); });

TEST(PromptCacheOption, IsTheUsersCacheUnlessItIsSwitchedOff) {
  const ModelFiles nano = ModelFiles::find({});
  ModelOptions options;
  EXPECT_EQ(residency_options(options, nano).prompt_cache.folder, default_prompt_cache());
  options.no_cache = true;
  EXPECT_EQ(residency_options(options, nano).prompt_cache.folder, "");
}

}  // namespace
}  // namespace icedit::cli
