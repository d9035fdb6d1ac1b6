// Several edits in a row, parts of photos, and making a picture again, as a user does it.
#include <algorithm>

#include "e2e/edit_program.h"

namespace icedit::e2e {
namespace {

using Json = nlohmann::json;

class Chain : public EditProgram {
 protected:
  // Three steps: c-step1.png, c-step2.png, c-step3.png.
  void make_chain(const std::string& output = "c.png") {
    const Result made =
        run({"edit", "car.png", "make it night", "--then", "make the car red", "--then",
             "without the cloud", "--steps", "2", "--seed", "7", "-o", output});
    ASSERT_EQ(made.code, 0) << made.err;
  }
  Json recipe(const std::string& name) { return inspect(name)["recipe"]; }
};

TEST_F(Chain, EveryStepIsWrittenAtFullSizeAndTheLastKnowsAll) {
  make_chain();
  EXPECT_EQ(files(),
            (std::set<std::string>{"c-step1.png", "c-step2.png", "c-step3.png", "car.png"}));
  EXPECT_EQ(output("c-step1.png").width, 384);
  const Json last = recipe("c-step3.png");
  ASSERT_EQ(last["before"].size(), 2u);
  EXPECT_EQ(last["before"][0]["edit"]["instruction"], "make it night");
  EXPECT_EQ(last["before"][1]["edit"]["instruction"], "make the car red");
  EXPECT_EQ(last["edit"]["instruction"], "without the cloud");
  for (const Json& step : {last["before"][0], last["before"][1], last})
    EXPECT_EQ(step["edit"]["seed"], 7);
  EXPECT_EQ(last["source"]["sha256"], sha256_file(work() / "car.png"));
  // A step is the edit of the file that the one before has become.
  ASSERT_EQ(run({"edit", "c-step1.png", "make the car red", "--steps", "2", "--seed", "7",
                 "--output-size", "source", "-o", "alone.png"})
                .code,
            0);
  EXPECT_EQ(output("alone.png"), output("c-step2.png"));
}

TEST_F(Chain, GoesOnFromAPictureAsIfItHadBeenOneRun) {
  make_chain();
  ASSERT_EQ(run({"edit", "car.png", "make it night", "--then", "make the car red", "--steps", "2",
                 "--seed", "7", "-o", "d.png"})
                .code,
            0);
  const Result more =
      run({"edit", "d-step2.png", "--then", "without the cloud", "--steps", "2", "--seed", "7"});
  ASSERT_EQ(more.code, 0) << more.err;
  EXPECT_EQ(more.out, "d-step3.png  seed 7\n");
  EXPECT_EQ(output("d-step3.png"), output("c-step3.png"));
  EXPECT_EQ(recipe("d-step3.png")["before"].size(), 2u);
}

TEST_F(Chain, WithoutAStepTheOthersAreMadeAgain) {
  make_chain();
  const Result result = run({"edit", "c-step3.png", "--without", "2", "-o", "w.png"});
  ASSERT_EQ(result.code, 0) << result.err;
  ASSERT_EQ(run({"edit", "car.png", "make it night", "--then", "without the cloud", "--steps", "2",
                 "--seed", "7", "-o", "x.png"})
                .code,
            0);
  EXPECT_EQ(output("w-step2.png"), output("x-step2.png"));
  EXPECT_EQ(output("w-step1.png"), output("c-step1.png"));
}

TEST_F(Chain, SaysWhatIsMissingOrWrong) {
  make_chain();
  expect_failure({"edit", "c-step3.png", "--without", "4"}, 2, "has 3 steps: 1 \"make it night\"");
  expect_failure({"edit", "c-step3.png", "--without", "1", "--without", "2", "--without", "3"}, 2,
                 "is the original");
  expect_failure({"edit", "c-step3.png", "--without", "1", "--seed", "5"}, 2, "leave out");
  expect_failure({"edit", "car.png", "--without", "1"}, 1, "there is no recipe in it");
  expect_failure({"edit", "car.png", "x", "--then", "y", "--num-images", "2"}, 2,
                 "one picture a step");
  expect_failure({"edit", "car.png", "x", "--then", "y", "-o", "-"}, 2, "there are several");
  expect_failure({"edit", "car.png", "x", "--keep-location"}, 2, "add --output-size source");
  std::filesystem::rename(work() / "car.png", work() / "moved");
  expect_failure({"edit", "c-step3.png", "--without", "1"}, 66, "give it with --image");
  expect_failure({"edit", "c-step3.png", "--without", "1", "--image", "c-step1.png"}, 66,
                 "c-step1.png is not the original");
  EXPECT_EQ(run({"edit", "c-step3.png", "--without", "1", "--image", "moved", "-o", "m.png"}).code,
            0);
  // Another program's change is not thrown away.
  const PictureText text = read_picture_text(work() / "c-step3.png");
  Image retouched = output("c-step3.png");
  retouched.pixels[0] ^= 255;
  write_image(work() / "r.png", retouched, text);
  expect_failure({"edit", "r.png", "--without", "1", "--image", "moved"}, 1,
                 "was changed by another program");
  const Result on = run({"edit", "r.png", "--then", "make it night", "--steps", "1"});
  EXPECT_EQ(on.code, 0);
  EXPECT_TRUE(has(on.err, "a new chain begins")) << on.err;
}

TEST_F(Chain, WhatALaterStepCannotDoIsFoundOutBeforeTheFirstRuns) {
  write_image(work() / "small.png", Image(10, 10, 1));
  write("b.jsonl",
        "{\"image\": \"car.png\", \"instruction\": \"make it night\", \"output\": \"a.png\", "
        "\"then\": [{\"instruction\": \"add a sun\", \"mask\": \"small.png\"}]}\n"
        "{\"image\": \"car.png\", \"instruction\": \"make it night\", \"output\": \"b.png\"}\n");
  const Result result = run({"edit", "b.jsonl", "--steps", "1"});
  EXPECT_EQ(result.code, 2);
  EXPECT_TRUE(has(result.err, "b.jsonl, line 1: step 2: small.png is 10x10 pixels")) << result.err;
  EXPECT_EQ(files(), (std::set<std::string>{"b.jsonl", "b.png", "car.png", "small.png"}));
}

// The first --then of a picture without a recipe is an edit as any step is: at full size.
TEST_F(Chain, BeginsWithThenWhereThereIsNoRecipe) {
  ASSERT_EQ(run({"edit", "car.png", "--then", "make it night", "--steps", "1", "-o", "t.png"}).code,
            0);
  EXPECT_EQ(output("t-step1.png").width, 384);
}

TEST_F(Chain, IsToldByInspectDryRunAndJson) {
  make_chain();
  EXPECT_TRUE(has(run({"inspect", "c-step3.png"}).out, "made by: icedit reproduce c-step3.png"));
  const Result recipe =
      run({"edit", "car.png", "--recipe", "c-step3.png", "-o", "r.png", "--steps", "1"});
  EXPECT_TRUE(has(recipe.err, "was made in 3 steps")) << recipe.err;
  const Json dry = Json::parse(
      run({"edit", "car.png", "make it night", "--then", "add a sun", "--dry-run", "--json"}).out);
  ASSERT_EQ(dry["edits"].size(), 2u);
  EXPECT_EQ(dry["edits"][1]["settings"]["instruction"], "add a sun");
  const Json made = Json::parse(
      run({"edit", "car.png", "make it night", "--then", "add a sun", "--steps", "1", "--json"})
          .out);
  EXPECT_EQ(made["outputs"][1]["step"], 2);
}

// A chain that was stopped goes on from the last step that is there.
TEST_F(Chain, SkipExistingGoesOnFromTheStepsThatAreThere) {
  make_chain();
  const Image whole = output("c-step3.png");
  std::filesystem::remove(work() / "c-step3.png");
  const std::vector<std::string> again = {"edit",
                                          "car.png",
                                          "make it night",
                                          "--then",
                                          "make the car red",
                                          "--then",
                                          "without the cloud",
                                          "--steps",
                                          "2",
                                          "--seed",
                                          "7",
                                          "-o",
                                          "c.png",
                                          "--skip-existing"};
  const Result rest = run(again);
  EXPECT_EQ(rest.out, "c-step3.png  seed 7\n") << rest.err;
  EXPECT_TRUE(has(rest.err, "c-step2.png is there; the chain goes on from it")) << rest.err;
  EXPECT_EQ(output("c-step3.png"), whole);
  EXPECT_EQ(recipe("c-step3.png")["before"].size(), 2u);
  // A step of another chain is not gone on from, nor written over.
  std::filesystem::remove(work() / "c-step3.png");
  write("c-step2.png", read_file(work() / "car.png"));
  const Result other = run(again);
  EXPECT_EQ(other.out, "c-step3.png  seed 7\n") << other.err;
  EXPECT_TRUE(has(other.err, "c-step1.png is there")) << other.err;
  EXPECT_EQ(output("c-step3.png"), whole);
}

TEST_F(Chain, WhatDoesNotGoWithAChainOrARegionIsRefused) {
  expect_failure({"edit", "car.png", "x", "--then", "y", "--output-size", "model"}, 2,
                 "the steps of a chain are made at the photo's own size");
  expect_failure({"edit", "car.png", "x", "--region", "0,0,100,100", "--output-size", "model"}, 2,
                 "--region is put back into the photo at its own size");
  expect_failure({"edit", "car.png", "x", "--then", "y", "--change-map", "m.png"}, 2,
                 "each step of a chain has a map of its own");
  // The recipe of a small edit does not stand in the way of a chain.
  ASSERT_EQ(run({"edit", "car.png", "make it night", "--steps", "1", "-o", "s.png"}).code, 0);
  EXPECT_EQ(
      run({"edit", "car.png", "--recipe", "s.png", "--then", "add a sun", "-o", "t.png"}).code, 0);
}

TEST_F(Chain, ADryRunIsOfTheRegion) {
  const Json dry = Json::parse(
      run({"edit", "car.png", "x", "--region", "10,20,100,200", "--dry-run", "--json"}).out);
  EXPECT_EQ(dry["edits"][0]["region_size"], Json({100, 200}));
  EXPECT_EQ(dry["edits"][0]["edit_size"], Json({96, 192}));
  expect_failure({"edit", "car.png", "x", "--region", "300,0,192,160", "--dry-run"}, 2,
                 "but the picture has");
}

TEST_F(Chain, WithoutKeepsHowTheStepsWereWritten) {
  ASSERT_EQ(run({"edit", "car.png", "make it night", "--then", "add a sun", "--steps", "1",
                 "--quality", "30", "-o", "q.jpg"})
                .code,
            0);
  ASSERT_EQ(run({"edit", "q-step2.jpg", "--without", "1", "-o", "w.jpg"}).code, 0);
  EXPECT_EQ(recipe("w-step1.jpg")["file"]["quality"], 30);
  ASSERT_EQ(run({"edit", "q-step2.jpg", "--without", "1", "--quality", "60", "-o", "v.jpg"}).code,
            0);
  EXPECT_EQ(recipe("v-step1.jpg")["file"]["quality"], 60);
}

TEST_F(Chain, StandsInALineOfABatch) {
  write(
      "b.jsonl",
      "{\"image\": \"car.png\", \"instruction\": \"make it night\", \"output\": \"o.png\", "
      "\"then\": [\"make the car red\", {\"instruction\": \"without the cloud\", \"seed\": 9}]}\n");
  const Result result = run({"edit", "b.jsonl", "--steps", "2", "--seed", "7"});
  ASSERT_EQ(result.code, 0) << result.err;
  const Json last = recipe("o-step3.png");
  EXPECT_EQ(last["edit"]["seed"], 9);
  EXPECT_EQ(last["before"][1]["edit"]["seed"], 7);
  write("bad.jsonl", "{\"image\": \"car.png\", \"instruction\": \"x\", \"then\": \"y\"}\n");
  expect_failure({"edit", "bad.jsonl"}, 2, "expected a list of instructions");
  write("bad.jsonl",
        "{\"image\": \"car.png\", \"instruction\": \"x\", \"then\": [{\"image\": \"b.png\"}]}\n");
  expect_failure({"edit", "bad.jsonl"}, 2, "'image' is of the whole line");
}

TEST_F(Chain, IsReproducedBitForBit) {
  for (const std::string output : {"c.png", "j.jpg"}) {
    make_chain(output);
    const std::string last = output.substr(0, 1) + "-step3" + output.substr(1);
    const Result result = run({"reproduce", last});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_TRUE(has(result.out, last + ": bit-identical")) << result.out;
  }
  const Result other = run({"reproduce", "c-step3.png", "--no-lora", "--json"});
  EXPECT_EQ(other.code, 1) << other.err;
  const Json json = Json::parse(other.out);
  EXPECT_FALSE(json["identical"].get<bool>());
  EXPECT_GT(json["psnr"].get<double>(), 5);
  EXPECT_EQ(json["other"][0], "other adapters or scales");
  EXPECT_EQ(run({"reproduce", "c-step3.png", "--no-lora", "--psnr", "5"}).code, 0);
  expect_failure({"reproduce", "car.png"}, 1, "there is no recipe in it");
  expect_failure({"reproduce"}, 2, "takes one picture");
}

TEST_F(Chain, ARegionIsEditedAloneAtTheModelsWidth) {
  const Image source = output("car.png");
  const Result result = run({"edit", "car.png", "make it night", "--steps", "2", "--seed", "7",
                             "--region", "100,120,192,160", "-o", "r.png"});
  ASSERT_EQ(result.code, 0) << result.err;
  const Image out = output("r.png");
  ASSERT_EQ(out.width, source.width);
  size_t changed = 0;
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      const bool inside = x >= 100 && x < 292 && y >= 120 && y < 280;
      const bool same = std::equal(out.at(x, y), out.at(x, y) + 3, source.at(x, y));
      ASSERT_TRUE(inside || same) << x << "," << y;
      changed += !same;
    }
  }
  EXPECT_GT(changed, 192u * 160u / 2);
  EXPECT_EQ(recipe("r.png")["edit"]["region"], "100,120,192,160");
  expect_failure({"edit", "car.png", "x", "--region", "300,0,192,160"}, 2,
                 "the picture has 384x384 pixels");
  expect_failure({"edit", "car.png", "x", "--region", "auto"}, 2, "there is no mask");
  expect_failure({"edit", "car.png", "x", "--region", "here"}, 2, "X,Y,W,H as 100,50,512,512");
  // The box around the mask is what the recipe holds.
  Image mask(384, 384, 1);
  for (int y = 150; y < 200; ++y) std::fill_n(mask.at(150, y), 50, 255);
  write_image(work() / "mask.png", mask);
  ASSERT_EQ(run({"edit", "car.png", "make it night", "--steps", "1", "--region", "auto", "--mask",
                 "mask.png", "-o", "a.png"})
                .code,
            0);
  EXPECT_EQ(recipe("a.png")["edit"]["region"], "127,127,96,96");
}

TEST_F(Chain, APhotosAlphaComesBackAtFullSize) {
  Image source = output("car.png"), rgba(384, 384, 4);
  for (int y = 0; y < 384; ++y) {
    for (int x = 0; x < 384; ++x) {
      std::copy_n(source.at(x, y), 3, rgba.at(x, y));
      rgba.at(x, y)[3] = static_cast<uint8_t>(x < 100 ? 0 : x < 200 ? 128 : 255);
    }
  }
  write_image(work() / "a.png", rgba);
  ASSERT_EQ(run({"edit", "a.png", "make it night", "--steps", "2", "--output-size", "source", "-o",
                 "o.png"})
                .code,
            0);
  ReadOptions keep;
  keep.keep_alpha = true;
  const Image out = read_image(work() / "o.png", keep);
  ASSERT_EQ(out.channels, 4);
  for (const int x : {50, 150, 300}) EXPECT_EQ(out.at(x, 100)[3], rgba.at(x, 100)[3]);
}

}  // namespace
}  // namespace icedit::e2e
