// Transformers and encoders in blocks of GGUF and in 8 and 4 bits, edited with as a user does.
#include "base/str.h"
#include "e2e/edit_program.h"

namespace icedit::e2e {
namespace {

using Json = nlohmann::json;

class QuantisedFiles : public EditProgram {};

// A file is of the size that the config.json beside it says, or else the model's own.
TEST_F(QuantisedFiles, GgufFilesStandInForComponents) {
  const auto place = [&](const std::string& folder, const std::string& gguf,
                         const std::string& config) {
    std::filesystem::create_directories(work() / folder);
    std::filesystem::copy_file(golden(gguf), work() / folder / "model.gguf");
    std::filesystem::copy_file(golden(config), work() / folder / "config.json");
  };
  place("q8", "gguf/tiny-fill-q8_0.gguf", "tiny-fill/transformer/config.json");
  place("t5", "gguf/tiny-t5-q8_0.gguf", "tiny-fill/text_encoder_2/config.json");
  const Image dense = tiny("dense.png", {});
  // In f32 as the small model: else it would be bf16, as diffusers computes and draws for GGUF.
  const Image q8 = tiny("q8.png", {"--transformer", "q8/model.gguf", "--t5", "t5"});
  EXPECT_GT(mean_difference(dense, q8), 0);
  EXPECT_LT(mean_difference(dense, q8), 3);
  expect_failure({"edit", "car.png", "x", "--model", golden("tiny-fill"), "--no-lora",
                  "--transformer", golden("gguf/tiny-t5-q8_0.gguf")},
                 1, "It looks like a T5 encoder: give it with --t5");
}

TEST_F(QuantisedFiles, TransformersAreComputedIn8BitsFromAnyFile) {
  const std::vector<std::string> convert = {
      "convert", "--quant", "int8", "--model", golden("tiny-fill"), "-o", "int8/model.safetensors"};
  const Result converted = run(convert);
  ASSERT_EQ(converted.code, 0) << converted.err;
  const Image dense = tiny("dense.png", {}), loaded = tiny("loaded.png", {"--quant", "int8"}),
              file = tiny("file.png", {"--transformer", "int8/model.safetensors"});
  EXPECT_EQ(loaded.pixels, file.pixels);
  EXPECT_GT(mean_difference(dense, loaded), 0);
  EXPECT_LT(mean_difference(dense, loaded), 3);
  expect_failure(convert, 2, "int8/model.safetensors exists already");
  expect_failure({"convert", "--quant", "int8", "--merge", "-o", "x.safetensors"}, 2, "--merge");
  expect_failure({"convert", "--quant", "int8", "-o", "x.gguf"}, 2, ".safetensors");
  expect_failure({"convert", "--quant", "int3", "-o", "x.safetensors"}, 2,
                 "int8, int4, q8_0, q4_0 or q4_k");
}

TEST_F(QuantisedFiles, AdaptersAreMergedIntoATransformerIn8Bits) {
  const Result converted = run({"convert", "--quant", "int8", "-o", "eight.safetensors"});
  ASSERT_EQ(converted.code, 0) << converted.err;
  std::vector<std::string> merge = {"convert",           "--merge", "--transformer",
                                    "eight.safetensors", "-o",      "merged"};
  expect_failure(merge, 2, "say with --dtype");
  merge.insert(merge.end(), {"--dtype", "f32"});
  const Result merged = run(merge);
  ASSERT_EQ(merged.code, 0) << merged.err;
  const auto edit = [&](const char* option, const char* model, const char* output) {
    const Result r = run({"edit", "car.png", "make it winter", "--seed", "1", "--steps", "4",
                          option, model, "-o", output});
    EXPECT_EQ(r.code, 0) << r.err;
  };
  edit("--transformer", "eight.safetensors", "eight.png");
  edit("--model", "merged", "merged.png");
  EXPECT_GT(decibels("eight.png", "merged.png"), 45);  // 55 seen: inputs are rounded in one
}

TEST_F(QuantisedFiles, AQuantisationThatChangesNothingIsRefused) {
  const Result converted = run({"convert", "--quant", "int8", "-o", "eight.safetensors"});
  ASSERT_EQ(converted.code, 0) << converted.err;
  const auto refused = [&](std::vector<std::string> more, const char* why) {
    std::vector<std::string> arguments = {"edit", "car.png", "make it winter"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    expect_failure(arguments, 2, why);
  };
  refused({"--transformer", "eight.safetensors", "--quant", "int4"}, "is in 8 bits already");
  const Result plan = run({"plan", "--transformer", "eight.safetensors"});
  EXPECT_EQ(plan.code, 0) << plan.err;
  EXPECT_EQ(plan.out.find("int4"), std::string::npos) << plan.out;
  refused({"--gguf-compute", "int8"}, "has no blocks of GGUF");
  refused({"--gguf-compute", "int8", "--quant", "int8"}, "leave one of them out");
}

// tiny-fill's rows fill no block of Q4_K, so they are Q8_0 there; nano's do (tests/nn).
TEST_F(QuantisedFiles, WhatConvertWritesIsRead) {
  const Image dense = tiny("dense.png", {});
  const auto converted = [&](const std::string& type, const std::string& ending,
                             std::vector<std::string> more = {}) {
    const std::string file = type + "/model" + ending;
    std::vector<std::string> arguments = {"convert",           "--quant", type, "--model",
                                          golden("tiny-fill"), "-o",      file};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Result result = run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return file;
  };
  const auto config = [&](const std::string& folder, const std::string& component) {
    std::filesystem::copy_file(golden("tiny-fill/" + component + "/config.json"),
                               work() / folder / "config.json");
  };
  converted("int4", ".safetensors");
  config("int4", "transformer");
  const auto parameters = [&](const std::string& path) {
    return Json::parse(run({"inspect", path, "--json"}).out)["parameters"];
  };
  EXPECT_EQ(parameters("int4"), parameters(golden("tiny-fill/transformer")));
  const std::string headline = run({"inspect", "int4/model.safetensors"}).out;
  EXPECT_NE(headline.find("(BFL's names)"), std::string::npos) << headline;
  EXPECT_EQ(headline.find("(0)"), std::string::npos) << headline;
  const Image four = tiny("four.png", {"--quant", "int4"});
  EXPECT_EQ(tiny("file.png", {"--transformer", "int4"}).pixels, four.pixels);
  EXPECT_GT(mean_difference(dense, four), 0);
  EXPECT_LT(mean_difference(dense, four), 8);
  for (const char* type : {"q8_0", "q4_0", "q4_k"}) {
    converted(type, ".gguf");
    config(type, "transformer");
    const Image exact = tiny(str(type, ".png"), {"--transformer", type});
    const Image rounded =
        tiny(str(type, "-8.png"), {"--transformer", type, "--gguf-compute", "int8"});
    EXPECT_GT(mean_difference(dense, exact), 0) << type;
    EXPECT_LT(mean_difference(dense, exact), 8) << type;
    EXPECT_GT(mean_difference(exact, rounded), 0) << type;
    EXPECT_LT(mean_difference(exact, rounded), 3) << type;
  }
  converted("q8_0", ".gguf", {"--component", "t5", "-o", "t5/model.gguf", "--force"});
  config("t5", "text_encoder_2");
  std::filesystem::create_directories(work() / "golden");
  std::filesystem::copy_file(golden("gguf/tiny-t5-q8_0.gguf"), work() / "golden/model.gguf");
  config("golden", "text_encoder_2");
  EXPECT_EQ(tiny("t5.png", {"--t5", "t5"}).pixels, tiny("golden.png", {"--t5", "golden"}).pixels);
  expect_failure({"convert", "--quant", "q8_0", "-o", "x.safetensors"}, 2, ".gguf");
  expect_failure({"convert", "--quant", "int8", "--component", "t5", "-o", "x.safetensors"}, 2,
                 "--component t5 is for q8_0");
  expect_failure({"convert", "--component", "t5", "-o", "x"}, 2, "--component is of --quant");
}
}  // namespace
}  // namespace icedit::e2e
