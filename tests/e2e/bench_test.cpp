// icedit bench: where the time of a call goes.
#include "e2e/edit_program.h"

namespace icedit::e2e {
namespace {

using Json = nlohmann::json;

class Bench : public EditProgram {};

TEST_F(Bench, PartsAreAllOfACall) {
  for (const std::string quant : {"none", "int8"}) {
    const Result result = run({"bench", "--quant", quant, "--dtype", "f32", "--json"});
    ASSERT_EQ(result.code, 0) << result.err;
    const Json json = Json::parse(result.out);
    EXPECT_EQ(json["precision"], quant == "none" ? "float32" : quant);
    EXPECT_GT(json["image_tokens"], 0);
    double shares = 0;
    for (const auto& [name, part] : json["parts"].items()) shares += double(part["share"]);
    EXPECT_NEAR(shares, 1, 1e-6);
    for (const char* part : {"products", "attention"}) {
      EXPECT_GT(json["parts"][part]["flops_per_second"], 0) << part;
      EXPECT_GT(json["parts"][part]["ceiling_flops_per_second"], 0) << part;
    }
    EXPECT_GT(json["weight_bytes_per_call"], 1'000'000);
  }
}

// The same bits are counted alike, whether they are made while loading or lie in the file.
TEST_F(Bench, WeightsOfAConvertedFileAreThoseQuantisedWhileLoading) {
  const auto bytes = [&](std::vector<std::string> more) {
    std::vector<std::string> all = {"bench",     "--model", golden("tiny-fill"), "--width", "64",
                                    "--no-lora", "--json"};
    all.insert(all.end(), more.begin(), more.end());
    const Result result = run(all);
    EXPECT_EQ(result.code, 0) << result.err;
    return Json::parse(result.out)["weight_bytes_per_call"];
  };
  ASSERT_EQ(run({"convert", "--quant", "int4", "--model", golden("tiny-fill"), "-o",
                 "int4/model.safetensors"})
                .code,
            0);
  fs::copy_file(golden("tiny-fill/transformer/config.json"), work() / "int4/config.json");
  EXPECT_EQ(bytes({"--quant", "int4"}), bytes({"--transformer", "int4"}));
}

TEST_F(Bench, ReadsAsATableAndRefusesPictures) {
  const Result result = run({"bench", "--width", "64", "--no-lora"});
  ASSERT_EQ(result.code, 0) << result.err;
  for (const char* part : {"one call of the network", "products", "attention", "the rest"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part;
  expect_failure({"bench", "--steps", "4"}, 2, "--steps");
  expect_failure({"bench", "car.png"}, 2, "icedit bench edits no picture, but 'car.png'");
}

// Before the weights are loaded, which would say that some belong nowhere.
TEST_F(Bench, AModelThatCannotBeMeasuredIsRefusedAtOnce) {
  fs::copy(golden("tiny-fill"), work() / "model", fs::copy_options::recursive);
  const Path file = work() / "model/transformer/config.json";
  Json config = Json::parse(read_file(file));
  config["num_single_layers"] = 0;
  write("model/transformer/config.json", config.dump());
  expect_failure({"bench", "--model", "model", "--width", "64"}, 2,
                 "has no single blocks, whose speed would be measured");
}

}  // namespace
}  // namespace icedit::e2e
