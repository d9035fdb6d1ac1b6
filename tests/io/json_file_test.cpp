#include "io/json_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "temporary_folder.h"

namespace icedit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Path kGoldens = ICEDIT_GOLDENS;

JsonFile example() {
  return JsonFile::parse(
      R"({"i": 28, "n": 1.5, "b": true, "t": "gelu", "null": null, "big": 18446744073709551615,
    "is": [16, 56, 56], "ts": ["a", "b"], "mixed": [1, "a"], "o": {"x": [1.5]}})",
      "c.json");
}

template <class Call>
std::string error(const Call& call) {
  const JsonFile json = example();
  return error_of<CheckpointError>([&] { call(json); });
}

TEST(JsonFile, ReadsAConfig) {
  const JsonFile config(kGoldens / "tiny-fill/transformer/config.json");
  EXPECT_EQ(config.text("_class_name"), "FluxTransformer2DModel");
  EXPECT_EQ(config.integer("in_channels"), 384);
  EXPECT_EQ(config.integers("axes_dims_rope").size(), 3u);
  EXPECT_EQ(config.where(), (kGoldens / "tiny-fill/transformer/config.json").string());
}

TEST(JsonFile, GivesEachType) {
  const JsonFile json = example();
  EXPECT_EQ(json.integer("i"), 28);
  EXPECT_EQ(json.number("n"), 1.5);
  EXPECT_EQ(json.number("i"), 28.0);
  EXPECT_TRUE(json.boolean("b"));
  EXPECT_EQ(json.text("t"), "gelu");
  EXPECT_THAT(json.integers("is"), ElementsAre(16, 56, 56));
  EXPECT_THAT(json.texts("ts"), ElementsAre("a", "b"));
  EXPECT_EQ(dumped(json.object("o").json()), R"({"x":[1.5]})");
  EXPECT_TRUE(json.has("i"));
  EXPECT_FALSE(json.has("null"));
  EXPECT_FALSE(json.has("missing"));
  EXPECT_EQ(json.keys().size(), 10u);
  const JsonFile copy = json;
  EXPECT_EQ(dumped(copy.json()), dumped(json.json()));
}

TEST(JsonFile, FallbacksAreForTheMissingAndNullOnly) {
  const JsonFile json = example();
  EXPECT_EQ(json.integer_or("missing", 7), 7);
  EXPECT_EQ(json.integer_or("null", 7), 7);
  EXPECT_EQ(json.integer_or("i", 7), 28);
  EXPECT_EQ(json.number_or("missing", 0.5), 0.5);
  EXPECT_EQ(json.number_or("n", 0.5), 1.5);
  EXPECT_TRUE(json.boolean_or("null", true));
  EXPECT_TRUE(json.boolean_or("b", false));
  EXPECT_EQ(json.text_or("missing", "x"), "x");
  EXPECT_EQ(json.text_or("t", "x"), "gelu");
  EXPECT_THAT(error([](auto& j) { j.integer_or("t", 1); }),
              HasSubstr("'t' is \"gelu\"; expected an integer"));
  EXPECT_THAT(error([](auto& j) { j.number_or("t", 1); }), HasSubstr("expected a number"));
  EXPECT_THAT(error([](auto& j) { j.boolean_or("i", true); }), HasSubstr("expected true or false"));
  EXPECT_THAT(error([](auto& j) { j.text_or("i", ""); }), HasSubstr("expected a string"));
}

TEST(JsonFile, ErrorsNameFileKeyAndValue) {
  EXPECT_EQ(error([](auto& j) { j.integer("x"); }), "c.json: 'x' is missing; expected an integer.");
  EXPECT_EQ(error([](auto& j) { j.integer("n"); }), "c.json: 'n' is 1.5; expected an integer.");
  EXPECT_THAT(error([](auto& j) { j.integer("big"); }), HasSubstr("'big' is 18446744073709551615"));
  EXPECT_THAT(error([](auto& j) { j.integer("null"); }), HasSubstr("'null' is null"));
  EXPECT_THAT(error([](auto& j) { j.number("b"); }), HasSubstr("'b' is true; expected a number"));
  EXPECT_THAT(error([](auto& j) { j.boolean("t"); }), HasSubstr("expected true or false"));
  EXPECT_THAT(error([](auto& j) { j.text("o"); }), HasSubstr("expected a string"));
  EXPECT_THAT(error([](auto& j) { j.integers("mixed"); }),
              HasSubstr("expected a list of integers"));
  EXPECT_THAT(error([](auto& j) { j.integers("i"); }), HasSubstr("expected a list of integers"));
  EXPECT_THAT(error([](auto& j) { j.texts("mixed"); }), HasSubstr("expected a list of strings"));
  EXPECT_THAT(error([](auto& j) { j.texts("missing"); }), HasSubstr("missing"));
  EXPECT_THAT(error([](auto& j) { j.object("i"); }), HasSubstr("expected an object"));
  EXPECT_EQ(error([](auto& j) { j.object("o").integer("x"); }),
            "c.json: 'o': 'x' is [1.5]; expected an integer.");
}

TEST(JsonFileMalformed, IsRefusedByName) {
  const auto message = [](const std::string& text) {
    return error_of<CheckpointError>([&] { JsonFile::parse(text, "c.json"); });
  };
  EXPECT_THAT(message(""), HasSubstr("c.json is not JSON: parse error at line 1, column 1"));
  EXPECT_THAT(message("{"), HasSubstr("c.json is not JSON"));
  EXPECT_THAT(message("{\"a\": NaN}"), HasSubstr("c.json is not JSON"));
  EXPECT_THAT(message("{\"a\": 1e999}"), HasSubstr("c.json is not JSON"));
  EXPECT_THAT(message("{\"a\": \"\xff\"}"), HasSubstr("c.json is not JSON"));
  EXPECT_THAT(message(std::string("{}\0x", 4)), HasSubstr("zero bytes"));
  EXPECT_THAT(message("[1]"), HasSubstr("c.json: its JSON is an array; expected an object"));
  EXPECT_THAT(message("3"), HasSubstr("a number; expected an object"));
  EXPECT_THAT(message("{\"a\":" + std::string(1'000'000, '[')),
              HasSubstr("nested deeper than 100"));
  const TemporaryFolder folder;
  EXPECT_THAT(error_of<NoInputError>([&] { JsonFile json(folder / "config.json"); }),
              HasSubstr("config.json: no such file"));
  folder.write("config.json", "{]");
  EXPECT_THAT(error_of<CheckpointError>([&] { JsonFile json(folder / "config.json"); }),
              HasSubstr("config.json is not JSON"));
}

}  // namespace
}  // namespace icedit
