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
  const Recipe recipe{
      a_run(), source, {{resolved(settings, ModelDefaults(), 5), {}, source, {}}}, "hash"};
  for (const char* name : {"a.png", "a.jpg", "a.webp"}) {
    write_image(folder_ / name, Image(8, 8), recipe_text(recipe));
    const Recipe read = parse_recipe(read_recipe_text(folder_ / name), name);
    EXPECT_EQ(read.source.file, "source") << name;
    EXPECT_EQ(read.source.sha256, sha256_file(folder_ / "source"));
    ASSERT_EQ(read.steps.size(), 1u);
    ASSERT_TRUE(read.steps[0].mask);
    EXPECT_EQ(read.steps[0].mask->file, "source");
    EXPECT_EQ(read.steps[0].edit.request.instruction, settings.request.instruction);
    EXPECT_EQ(read.steps[0].edit.seed, 5u);
    EXPECT_EQ(read.result, "hash");
    EXPECT_TRUE(differences(read.run, a_run()).empty());
  }
  write_image(folder_ / "plain.png", Image(8, 8));
  EXPECT_EQ(read_recipe_text(folder_ / "plain.png"), "");
}

TEST_F(RecipeTest, AChainKeepsItsStepsAndHowTheyWereWritten) {
  EditSettings first, second;
  first.request.instruction = "make it night";
  second.request.instruction = "remove the cup";
  second.request.region = Box{1, 2, 30, 40};
  Recipe recipe{a_run(), {"photo.jpg", "aa"}, {}, ""};
  recipe.steps = {{resolved(first, {}, 5), {}, {}, {ImageFormat::kJpeg, 80}},
                  {resolved(second, {}, 6), {}, SourceRecord{"mask.png", "bb"}, {}}};
  const Recipe read = parse_recipe(recipe_text(recipe).at(kRecipeKey), "x");
  ASSERT_EQ(read.steps.size(), 2u);
  EXPECT_EQ(read.source.sha256, "aa");
  EXPECT_EQ(read.steps[0].edit.request.instruction, "make it night");
  EXPECT_EQ(read.steps[0].edit.seed, 5u);
  EXPECT_EQ(read.steps[0].file.format, ImageFormat::kJpeg);
  EXPECT_EQ(read.steps[0].file.quality, 80);
  EXPECT_FALSE(read.steps[0].mask);
  EXPECT_EQ(read.steps[1].edit.request.instruction, "remove the cup");
  EXPECT_EQ(read.steps[1].edit.request.region, (Box{1, 2, 30, 40}));
  EXPECT_EQ(read.steps[1].mask->sha256, "bb");
}

// What the recipe says of the pixels is what a reader of the file finds.
TEST_F(RecipeTest, TheResultsHashIsThatOfTheFile) {
  EditedImage edited;
  edited.image = Image(24, 16);
  for (size_t i = 0; i < edited.image.pixels.size(); ++i)
    edited.image.pixels[i] = static_cast<uint8_t>(i * 37 % 251);
  for (const FileRecord& file :
       {FileRecord{ImageFormat::kPng, 95}, FileRecord{ImageFormat::kJpeg, 80},
        FileRecord{ImageFormat::kWebp, 90}, FileRecord{ImageFormat::kWebp, 100}}) {
    const Recipe recipe{a_run(), {"photo.jpg", "aa"}, {{resolved({}, {}, 1), {}, {}, file}}, ""};
    const std::string bytes = encode_with_recipe(edited, recipe);
    write("picture", bytes);
    const Recipe read = parse_recipe(read_recipe_text(folder_ / "picture"), "x");
    EXPECT_EQ(read.result, pixels_hash(stored_pixels(as_bytes(bytes), "x")));
  }
}

TEST_F(RecipeTest, TheOriginalIsFoundByItsBytes) {
  write_image(folder_ / "photo.png", Image(8, 8));
  const SourceRecord source = source_record(folder_ / "photo.png");
  const Path edit = folder_ / "edit.png";
  EXPECT_EQ(find_source(source, edit, "", "the original", "--image"), folder_ / "photo.png");
  std::filesystem::rename(folder_ / "photo.png", folder_ / "renamed.png");
  EXPECT_EQ(find_source(source, edit, "", "the original", "--image"), folder_ / "renamed.png");
  EXPECT_EQ(find_source(source, edit, (folder_ / "renamed.png").string(), "x", "--image"),
            folder_ / "renamed.png");
  write_image(folder_ / "renamed.png", Image(8, 9));
  EXPECT_THROW(find_source(source, edit, "", "the original", "--image"), NoInputError);
  EXPECT_THROW(find_source(source, edit, (folder_ / "renamed.png").string(), "x", "--image"),
               NoInputError);
}

TEST_F(RecipeTest, ARunIsTheSameBehindItsJson) {
  EXPECT_EQ(dumped(run_json(run_from_json(run_json(a_run())))), dumped(run_json(a_run())));
}

TEST_F(RecipeTest, FoldersOfThisMachineStayHere) {
  RunRecord run = a_run();
  run.model = folder_.path().string() + "/";
  run.adapters[0].name = write("lora.safetensors", "").string();
  const std::string text = recipe_text({run,
                                        source_record(write("s", "")),
                                        {{resolved({}, ModelDefaults(), 1), {}, {}, {}}},
                                        ""})
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
