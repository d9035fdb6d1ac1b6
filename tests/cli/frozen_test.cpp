// Scripts depend on these spellings: a change of the lists is a change for users.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/data.h"
#include "cli/edit_options.h"
#include "cli/eval_options.h"
#include "cli/serve_options.h"
#include "cli/train_options.h"
#include "edit/recipe.h"

namespace icedit::cli {
namespace {

std::string spellings(const std::vector<SettingGroup>& groups) {
  std::string text;
  for (const SettingGroup& group : groups) {
    for (const Setting& option : group.settings) {
      text += text.empty() ? option.name : " " + option.name;
      for (const std::string& alias : option.aliases) text += "|" + alias;
      if (option.value.empty()) text += "!";
    }
  }
  return text;
}

TEST(Frozen, OptionsOfEdit) {  // NAME|ALIAS, ! for a switch
  EditOptions options;
  EXPECT_EQ(
      spellings(edit_option_groups(options)),
      "image instruction output|o mask feather seed num-images steps|num-inference-steps solver "
      "guidance|guidance-scale "
      "max-sequence-length noise-order batch-noise speed speed-error calls reuse-left width sizing "
      "layout "
      "output-size detail "
      "detail-tolerance change-map quality region keep-location! output-dir force|f! "
      "skip-existing! recipe then without max-pixels pillow-exact! "
      "model|flux-path lora|lora-path no-lora! lora-allow-partial! transformer t5|text-encoder-2 "
      "clip|text-encoder vae tokenizer tokenizer-2 "
      "device dtype quant gguf-compute noise-dtype low-memory|enable-model-cpu-offload! max-memory "
      "max-vram "
      "no-cache! "
      "threads "
      "json! dry-run! preview preview-full! quiet|q! verbose|v! help|h!");
}

TEST(Frozen, OptionsOfEval) {
  EvalCommand options;
  const std::string all = spellings(eval_option_groups(options));
  EXPECT_TRUE(all.starts_with(
      "data limit every batch output|o|output-dir json! seed steps|num-inference-steps solver "
      "guidance|guidance-scale max-sequence-length noise-order speed speed-error calls reuse-left "
      "width "
      "sizing layout detail "
      "detail-tolerance model|"))
      << all;
}

TEST(Frozen, OptionsOfServe) {
  ServeOptions options;
  const std::string all = spellings(serve_option_groups(options));
  EXPECT_TRUE(all.starts_with(
      "host port name tls-cert tls-key api-key api-key-file no-auth! allowed-host cors "
      "allow-fetch! "
      "trusted-proxy queue batch max-body "
      "max-pixels max-prompt max-steps max-width max-connections max-connections-per-address "
      "drain-seconds keep-minutes keep-mb save-dir save-mb model|"))
      << all;
  const std::string manual = read_file(Path(ICEDIT_SOURCE) / "docs/cli.md"), help = serve_help();
  for (const SettingGroup& group : serve_option_groups(options)) {
    for (const Setting& option : group.settings) {
      EXPECT_NE(manual.find("`--" + option.name), std::string::npos) << option.name;
      EXPECT_NE(help.find("--" + option.name), std::string::npos) << option.name;
    }
  }
}

TEST(Frozen, OptionsOfTrain) {
  TrainOptions options;
  EXPECT_EQ(spellings(train_option_groups(options)),
            "set resume run-folder steps trace draws device threads quiet|q! "
            "verbose|v! help|h!");
  const std::string manual = read_file(Path(ICEDIT_SOURCE) / "docs/cli.md");
  for (const SettingGroup& group : train_option_groups(options)) {
    for (const Setting& option : group.settings)
      EXPECT_NE(manual.find("`--" + option.name), std::string::npos) << option.name;
  }
}

TEST(Frozen, OptionsOfData) {
  std::string all;
  const std::string manual = read_file(Path(ICEDIT_SOURCE) / "docs/cli.md");
  for (const DataCommand& command : data_commands()) {
    DataOptions options;
    const auto groups = command.groups(options);
    all += command.name + ": " + spellings(groups) + "\n";
    EXPECT_NE(manual.find("icedit data " + command.name), std::string::npos) << command.name;
    const std::string help = data_help(command);
    for (const SettingGroup& group : groups) {
      for (const Setting& option : group.settings) {
        EXPECT_NE(manual.find("`--" + option.name), std::string::npos) << option.name;
        EXPECT_NE(help.find("--" + option.name), std::string::npos) << option.name;
      }
    }
  }
  EXPECT_EQ(all,
            "show: index count set json! output|o force|f! quiet|q! verbose|v! help|h!\n"
            "check: type split set threads json! quiet|q! verbose|v! help|h!\n"
            "pack: output|o force|f! threads json! quiet|q! verbose|v! help|h!\n"
            "fetch: folder all! json! quiet|q! verbose|v! help|h!\n");
}

TEST(Frozen, Commands) {
  std::string names;
  for (const Command& command : commands()) names += command.name + " ";
  EXPECT_EQ(names, "edit serve plan bench reproduce eval convert inspect stage train data ");
}

TEST(Frozen, EveryOptionIsInTheHelpAndHasOneSpelling) {
  EditOptions options;
  const std::string help = edit_help();
  std::vector<std::string> all;
  for (const SettingGroup& group : edit_option_groups(options)) {
    for (const Setting& option : group.settings) {
      EXPECT_NE(help.find("--" + option.name), std::string::npos) << option.name;
      EXPECT_FALSE(option.help.empty()) << option.name;
      all.push_back(option.name);
      for (const std::string& alias : option.aliases) {
        EXPECT_NE(help.find(alias), std::string::npos) << alias;
        all.push_back(alias);
      }
    }
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
  EXPECT_NE(help.find("Exit codes"), std::string::npos);
}

TEST(Frozen, TheManualNamesEveryOption) {
  const std::string manual = read_file(Path(ICEDIT_SOURCE) / "docs/cli.md");
  EditOptions options;
  for (const SettingGroup& group : edit_option_groups(options)) {
    for (const Setting& option : group.settings) {
      EXPECT_NE(manual.find("`--" + option.name), std::string::npos) << option.name;
      for (const std::string& alias : option.aliases) {
        const std::string flag = (alias.size() == 1 ? "-" : "--") + alias;
        EXPECT_NE(manual.find(flag), std::string::npos) << flag;
      }
    }
  }
  for (const Command& command : commands()) {
    EXPECT_NE(manual.find("## `icedit " + command.name), std::string::npos) << command.name;
  }
}

TEST(Frozen, SettingsOfARecipeCanBeGivenAgain) {
  EditSettings settings;
  settings.request.instruction = "make it \"red\"\n";
  settings.request.guidance = 3.25;
  settings.request.steps = 5;
  settings.request.sizing = Sizing::kIcedit;
  settings.request.noise_order = NoiseOrder::kEarly;
  settings.request.source_size = true;
  const std::string json = dumped(settings_json(resolved(settings, ModelDefaults(), 12)));
  EditSettings again;
  set_from_json(again, json, "recipe");
  EXPECT_EQ(dumped(settings_json(resolved(again, ModelDefaults(), *again.seed))), json);
  EXPECT_EQ(again.request.width, 512);
}

}  // namespace
}  // namespace icedit::cli
