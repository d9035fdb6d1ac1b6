#include "cli/serve_options.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "temporary_folder.h"

namespace icedit::cli {
namespace {

std::string named(const std::string& text) {
  const server::NamedAdapter adapter = parse_named_adapter({"--lora", text});
  return str(adapter.name, "|", adapter.adapter.path, "|", adapter.adapter.scale);
}

TEST(ServeOptions, ALoraHasANameOfItsOwnOrThatOfItsFile) {
  EXPECT_EQ(named("RiverZ/normal-lora"), "normal-lora|RiverZ/normal-lora|1");
  EXPECT_EQ(named("RiverZ/normal-lora@main:0.5"), "normal-lora|RiverZ/normal-lora@main|0.5");
  EXPECT_EQ(named("a=RiverZ/normal-lora:2"), "a|RiverZ/normal-lora|2");
  EXPECT_EQ(named("/x/styles/pytorch_lora_weights.safetensors"),
            "styles|/x/styles/pytorch_lora_weights.safetensors|1");
  EXPECT_EQ(named("/x/my lora.safetensors"), "my-lora|/x/my lora.safetensors|1");
  EXPECT_EQ(named("/x/a=b/c"), "c|/x/a=b/c|1");
  EXPECT_THROW(named("a="), UsageError);
}

TEST(ServeOptions, TheModelsOwnLoraIsTheDefaultAndNamesDiffer) {
  ModelDefaults defaults;
  defaults.lora = "/x/lora.safetensors";
  ServeOptions options;
  EXPECT_EQ(named_adapters(options, defaults, "nano").at(0).name, "nano");
  options.model.no_lora = true;
  EXPECT_TRUE(named_adapters(options, defaults, "nano").empty());
  options.model.no_lora = false;
  options.server.adapters = {{"a", {"/x/a", 1}}, {"a", {"/x/b", 1}}};
  EXPECT_THROW(named_adapters(options, defaults, "nano"), UsageError);
}

TEST(ServeOptions, KeysComeFromEverywhere) {
  const TemporaryFolder folder;
  write_text_atomically(folder / "keys", "one\r\n\ntwo\n");
  setenv("ICEDIT_API_KEY", "four", 1);
  const ServeOptions options =
      parse_serve_options({"--api-key-file", (folder / "keys").string(), "--api-key", "three"});
  unsetenv("ICEDIT_API_KEY");
  EXPECT_EQ(options.server.access.keys, (std::vector<std::string>{"three", "one", "two", "four"}));
  write_text_atomically(folder / "keys", "\n");
  EXPECT_THROW(parse_serve_options({"--api-key-file", (folder / "keys").string()}), UsageError);
  EXPECT_THROW(parse_serve_options({"--api-key", ""}), UsageError);
  EXPECT_THROW(parse_serve_options({"picture.png"}), UsageError);
  EXPECT_THROW(parse_serve_options({"--name", "a_b"}), UsageError);
}

}  // namespace
}  // namespace icedit::cli
