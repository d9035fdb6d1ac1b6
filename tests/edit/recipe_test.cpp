#include "edit/recipe.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

class RecipeTest : public ::testing::Test {
 protected:
  Path write(const std::string& name, const std::string& text) const {
    return folder_.write(name, text);
  }
  TemporaryFolder folder_;
};

RunRecord a_run() {
  return run_from_json(Json::parse(
      R"({"version": "1", "model": {"name": "nano", "transformer": {"sha256": "a"}, "vae": {"sha256": "b"}},
          "adapters": [{"name": "x", "scale": 1.0, "sha256": "c"}], "dtype": "float32", "noise_dtype": "float32"})"));
}

TEST_F(RecipeTest, OneSmallFileHasTheHashThatSha256sumPrints) {
  const Path file = write("a", "abc");
  EXPECT_EQ(fingerprint({file}).sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(fingerprint({file}).of, "contents");
}

TEST_F(RecipeTest, ShardsCountInAnyOrderAndEveryByteCounts) {
  const Path a = write("a", "abc"), b = write("b", "def");
  const std::string both = fingerprint({a, b}).sha256;
  EXPECT_EQ(fingerprint({b, a}).sha256, both);
  write("b", "deg");
  EXPECT_NE(fingerprint({a, b}).sha256, both);
}

TEST_F(RecipeTest, OfLargeFilesNamesSizesAndHeadersAreHashed) {
  const Path large = folder_ / "large.safetensors";
  const auto make = [&](uint64_t bytes, const std::string& header, char last) {
    const uint64_t length = header.size();
    std::ofstream out(large, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&length), sizeof length);
    out << header;
    out.seekp(static_cast<std::streamoff>(bytes - 1));
    out.put(last);
    out.close();
    return fingerprint({large});
  };
  const Fingerprint first = make(300 << 20, "{}", 'a');  // sparse
  EXPECT_EQ(first.of, "headers and sizes");
  EXPECT_EQ(make(300 << 20, "{}", 'b').sha256, first.sha256);
  EXPECT_NE(make(300 << 20, "{ }", 'a').sha256, first.sha256);
  EXPECT_NE(make(301 << 20, "{}", 'a').sha256, first.sha256);
}

TEST_F(RecipeTest, GoesIntoAPictureAndComesOutAgain) {
  EditSettings settings;
  settings.request.instruction = "make it <blue> \xF0\x9F\x8C\x8A";
  const SourceRecord source = source_record(write("source", "bytes"));
  const Recipe recipe{a_run(), resolved(settings, ModelDefaults(), 5), {}, source, source};
  for (const char* name : {"a.png", "a.jpg", "a.webp"}) {
    write_image(folder_ / name, Image(8, 8), recipe_text(recipe));
    const Recipe read = parse_recipe(read_recipe_text(folder_ / name), name);
    EXPECT_EQ(read.source.file, "source") << name;
    EXPECT_EQ(read.source.sha256, sha256_file(folder_ / "source"));
    ASSERT_TRUE(read.mask);
    EXPECT_EQ(read.mask->file, "source");
    EXPECT_EQ(read.edit.request.instruction, settings.request.instruction);
    EXPECT_EQ(read.edit.seed, 5u);
    EXPECT_TRUE(differences(read.run, a_run()).empty());
  }
  write_image(folder_ / "plain.png", Image(8, 8));
  EXPECT_EQ(read_recipe_text(folder_ / "plain.png"), "");
}

TEST_F(RecipeTest, ARunIsTheSameBehindItsJson) {
  EXPECT_EQ(dumped(run_json(run_from_json(run_json(a_run())))), dumped(run_json(a_run())));
}

TEST_F(RecipeTest, FoldersOfThisMachineStayHere) {
  RunRecord run = a_run();
  run.model = folder_.path().string() + "/";
  run.adapters[0].name = write("lora.safetensors", "").string();
  const std::string text =
      recipe_text({run, resolved({}, ModelDefaults(), 1), {}, source_record(write("s", "")), {}})
          .at(kRecipeKey);
  EXPECT_EQ(text.find(folder_.path().parent_path().string() + "/"), std::string::npos);
  EXPECT_EQ(Json::parse(text)["model"]["name"], folder_.path().filename().string());
}

TEST_F(RecipeTest, DifferencesAreNamed) {
  RunRecord other = a_run();
  other.components["vae"].fingerprint.sha256 = "z";
  other.adapters[0].scale = 0.5;
  other.dtype = "bfloat16";
  EXPECT_EQ(differences(a_run(), other),
            (std::vector<std::string>{"another vae", "other adapters or scales",
                                      "dtype was float32, is bfloat16"}));
}

TEST_F(RecipeTest, DamagedOnesAreErrors) {
  for (const char* bad : {"", "[", "[]", "{}", "{\"edit\": 3}"})
    EXPECT_THROW(parse_recipe(bad, "x.png"), DataError) << bad;
  for (const char* odd : {"{\"model\": 3, \"adapters\": \"x\"}", "[]", "3"})
    EXPECT_FALSE(differences(run_from_json(Json::parse(odd)), a_run()).empty()) << odd;
  EXPECT_THROW(parse_recipe("{\"edit\": {\"later\": 1}}", "x.png"), UsageError);
}

}  // namespace
}  // namespace icedit
