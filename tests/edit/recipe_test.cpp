#include "edit/recipe.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

using Json = nlohmann::json;

class Recipe : public ::testing::Test {
 protected:
  Path write(const std::string& name, const std::string& text) const {
    return folder_.write(name, text);
  }
  TemporaryFolder folder_;
};

const char* const kRun =
    R"({"version": "1", "model": {"name": "nano", "transformer": {"sha256": "a"}, "vae": {"sha256": "b"}},
        "adapters": [{"name": "x", "scale": 1.0, "sha256": "c"}], "dtype": "float32", "noise_dtype": "float32"})";

TEST_F(Recipe, OneSmallFileHasTheHashThatSha256sumPrints) {
  const Path file = write("a", "abc");
  EXPECT_EQ(fingerprint({file}).sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(fingerprint({file}).of, "contents");
}

TEST_F(Recipe, ShardsCountInAnyOrderAndEveryByteCounts) {
  const Path a = write("a", "abc"), b = write("b", "def");
  const std::string both = fingerprint({a, b}).sha256;
  EXPECT_EQ(fingerprint({b, a}).sha256, both);
  write("b", "deg");
  EXPECT_NE(fingerprint({a, b}).sha256, both);
}

TEST_F(Recipe, OfLargeFilesNamesSizesAndHeadersAreHashed) {
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

TEST_F(Recipe, GoesIntoAPictureAndComesOutAgain) {
  EditSettings settings;
  settings.request.instruction = "make it <blue> \xF0\x9F\x8C\x8A";
  const Path source = write("source", "bytes");
  for (const char* name : {"a.png", "a.jpg", "a.webp"}) {
    write_image(folder_ / name, Image(8, 8),
                recipe_text(kRun, settings_json(settings, ModelDefaults(), 5), source, source, 0));
    const std::string recipe = read_recipe(folder_ / name);
    const Json json = Json::parse(recipe);
    EXPECT_EQ(json["source"]["file"], "source") << name;
    EXPECT_EQ(json["source"]["sha256"], sha256_file(source));
    EXPECT_TRUE(recipe_has_mask(recipe));
    EditSettings again;
    set_from_json(again, recipe_settings(recipe, name), name);
    EXPECT_EQ(again.request.instruction, settings.request.instruction);
    EXPECT_EQ(again.seed, 5);
    EXPECT_TRUE(differences(recipe, kRun).empty());
  }
  write_image(folder_ / "plain.png", Image(8, 8));
  EXPECT_EQ(read_recipe(folder_ / "plain.png"), "");
}

TEST_F(Recipe, FoldersOfThisMachineStayHere) {
  Json run = Json::parse(kRun);
  run["model"]["name"] = folder_.path().string() + "/";
  run["adapters"][0]["name"] = write("lora.safetensors", "").string();
  const PictureText text =
      recipe_text(run.dump(), settings_json({}, ModelDefaults(), 1), write("s", ""), "", 0);
  EXPECT_EQ(text.at(kRecipeKey).find(folder_.path().parent_path().string() + "/"),
            std::string::npos);
  EXPECT_EQ(Json::parse(text.at(kRecipeKey))["model"]["name"], folder_.path().filename().string());
}

TEST_F(Recipe, DifferencesAreNamed) {
  Json other = Json::parse(kRun);
  other["model"]["vae"]["sha256"] = "z";
  other["adapters"][0]["scale"] = 0.5;
  other["dtype"] = "bfloat16";
  EXPECT_EQ(differences(kRun, other.dump()),
            (std::vector<std::string>{"another vae", "other adapters or scales",
                                      "dtype was \"float32\", is \"bfloat16\""}));
}

TEST_F(Recipe, DamagedOnesAreErrorsOrNothing) {
  for (const char* bad : {"", "[", "[]", "{}", "{\"edit\": 3}"}) {
    EXPECT_THROW(recipe_settings(bad, "x.png"), DataError) << bad;
    EXPECT_FALSE(recipe_has_mask(bad));
    differences(bad, kRun);
  }
  EXPECT_FALSE(differences("{\"model\": 3, \"adapters\": \"x\"}", kRun).empty());
}

}  // namespace
}  // namespace icedit
