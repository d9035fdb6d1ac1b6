// icedit edit as a user runs it.
#include <algorithm>
#include <cmath>

#include "base/str.h"
#include "e2e/edit_program.h"
#include "io/resize.h"
#include "io/test_profile.h"

namespace icedit::e2e {
namespace {

using Json = nlohmann::json;

class Edit : public EditProgram {
 protected:
  Result edit(std::vector<std::string> arguments) {
    std::vector<std::string> all = {"edit", "car.png", "make the car red", "--steps", "2"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all);
  }
};

TEST_F(Edit, WritesTheEditItsSeedAndItsRecipe) {
  const Result result = edit({"-o", "out.png", "--seed", "7"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "out.png  seed 7\n");
  EXPECT_EQ(output("out.png").width, 96);
  EXPECT_EQ(files(), (std::set<std::string>{"car.png", "out.png"}));

  const Json recipe = inspect("out.png")["recipe"];
  EXPECT_EQ(recipe["edit"]["instruction"], "make the car red");
  EXPECT_EQ(recipe["edit"]["seed"], 7);
  EXPECT_EQ(recipe["edit"]["steps"], 2);
  EXPECT_EQ(recipe["model"]["name"], "nano");
  EXPECT_EQ(recipe["model"]["transformer"]["sha256"],
            sha256_file(Path(ICEDIT_SOURCE) /
                        "models/nano/model/transformer/diffusion_pytorch_model.safetensors"));
  EXPECT_EQ(recipe["adapters"][0]["name"],
            "pytorch_lora_weights.safetensors");  // no folder of this machine
  EXPECT_EQ(recipe["source"]["sha256"], sha256_file(work() / "car.png"));
}

TEST_F(Edit, AtTheSourcesSizeItsDetailIsKept) {
  const Result result = run({"edit", "car.png", "make the car red", "--seed", "1", "--output-size",
                             "source", "--change-map", "map.png", "-o", "out.png", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const Image out = output("out.png"), source = output("car.png");
  ASSERT_EQ(out.width, 384);
  int same = 0, all = 384 * 384;
  for (int y = 0; y < 384; ++y)
    for (int x = 0; x < 384; ++x)
      same += std::equal(out.at(x, y), out.at(x, y) + 3, source.at(x, y));
  EXPECT_GT(same, all / 2);
  EXPECT_LT(same, all);
  const Image map = read_image(work() / "map.png");
  EXPECT_EQ(map.width, 96);
  const Json detail = Json::parse(result.out)["outputs"][0]["detail"];
  EXPECT_NEAR(detail["percent_kept"].get<double>() + detail["percent_colour"].get<double>() +
                  detail["percent_content"].get<double>(),
              100, 0.01);
  EXPECT_NEAR(detail["zoom"].get<double>(), 1, 0.02);
  const Json recipe = inspect("out.png")["recipe"];
  EXPECT_EQ(recipe["detail"], detail);
  EXPECT_EQ(recipe["edit"]["detail"], "keep");
  EXPECT_EQ(recipe["edit"]["detail_tolerance"], 1);

  const Result again = run({"edit", "car.png", "--recipe", "out.png", "-o", "again.png"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(output("again.png"), out);
  ASSERT_EQ(edit({"-o", "plain.png", "--output-size", "source", "--detail", "model"}).code, 0);
  EXPECT_EQ(output("plain.png").width, 384);
  EXPECT_FALSE(inspect("plain.png")["recipe"].contains("detail"));
  const Result none =
      edit({"-o", "more.png", "--output-size", "source", "--detail-tolerance", "100"});
  ASSERT_EQ(none.code, 0);
  EXPECT_EQ(output("more.png"), source);
  EXPECT_TRUE(has(none.err, "nothing is changed")) << none.err;
}

TEST_F(Edit, DetailIsOfTheSourcesSize) {
  const auto refused = [this](std::vector<std::string> with, const std::string& why) {
    std::vector<std::string> all = {"edit", "car.png", "make it red"};
    all.insert(all.end(), with.begin(), with.end());
    expect_failure(all, 2, why);
  };
  refused({"--detail", "keep"}, "add --output-size source");
  refused({"--detail-tolerance", "2"}, "add --output-size source");
  refused({"--change-map", "map.png"}, "add --output-size source");
  refused({"--output-size", "source", "--detail", "model", "--change-map", "map.png"},
          "--detail model keeps nothing");
  refused({"--output-size", "source", "--change-map", "map.jpg"}, "end its name in .png");
  refused({"--output-size", "source", "--change-map", "map.png", "--num-images", "2"},
          "several edits");
  refused({"--output-size", "source", "--change-map", "car.png"}, "car.png");
  refused({"--output-size", "source", "--change-map", "a.png", "-o", "./a.png"},
          "is the edit and its --change-map");
  refused({"--detail", "most"}, "expected");
  write("b.jsonl", "{\"image\": \"car.png\", \"instruction\": \"x\", \"detail\": \"keep\"}\n");
  expect_failure({"edit", "b.jsonl", "-o", "out/"}, 2, "b.jsonl, line 1: --detail");
}

TEST_F(Edit, ARecipeMakesThePictureAgain) {
  ASSERT_EQ(edit({"-o", "first.webp", "--guidance", "2", "--noise-order", "early"}).code, 0);
  const Result again = run({"edit", "car.png", "--recipe", "first.webp", "-o", "again.webp"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_FALSE(has(again.err, "warning")) << again.err;
  EXPECT_EQ(output("again.webp"), output("first.webp"));
  const Result other =
      run({"edit", "car.png", "--recipe", "first.webp", "--no-lora", "-o", "other.webp"});
  EXPECT_TRUE(has(other.err, "adapters")) << other.err;
}

TEST_F(Edit, OneRunOfManyGivesWhatManyRunsGive) {
  ASSERT_EQ(edit({"-o", "a.png", "--seed", "7", "--low-memory"}).code, 0);
  ASSERT_EQ(edit({"-o", "b.png", "--seed", "8"}).code, 0);
  write("edits.jsonl",
        "{\"image\": \"car.png\", \"instruction\": \"make the car red\", \"num-images\": 2, "
        "\"output\": \"x.png\"}\n"
        "{\"image\": \"car.png\", \"instruction\": \"make it night\", \"width\": 48, \"output\": "
        "\"y.png\"}\n");
  const Result batch =
      run({"edit", "edits.jsonl", "--steps", "2", "--seed", "7", "--output-dir", "out", "--json"});
  ASSERT_EQ(batch.code, 0) << batch.err;
  EXPECT_EQ(output("out/x-1.png"), output("a.png"));
  EXPECT_EQ(output("out/x-2.png"), output("b.png"));
  EXPECT_EQ(output("out/y.png").width, 48);

  const Json json = Json::parse(batch.out);
  ASSERT_EQ(json["outputs"].size(), 3u);
  EXPECT_EQ(json["outputs"][1]["file"], "out/x-2.png");
  EXPECT_EQ(json["outputs"][1]["seed"], 8);
  EXPECT_EQ(json["outputs"][2]["settings"]["instruction"], "make it night");
  EXPECT_GT(json["seconds"]["denoising"].get<double>(), 0);
  EXPECT_GT(json["peak_memory_bytes"].get<int64_t>(), 1 << 20);
  EXPECT_EQ(json["model"]["name"], "nano");
  EXPECT_EQ(json["adapters"][0]["scale"], 1.0);

  const Result rest =
      run({"edit", "edits.jsonl", "--steps", "2", "--output-dir", "out", "--skip-existing"});
  EXPECT_EQ(rest.code, 0);
  EXPECT_EQ(rest.out, "");
}

// The published script on tiny-fill: its picture to the last pixel, but for floats on a rounding
// edge.
TEST_F(Edit, GivesDiffusersPicture) {
  for (const std::string order : {"current", "early"}) {
    const Result result = run({"edit",
                               golden("image/icedit_0_source.png"),
                               "Make her hair dark green and her clothes checked.",
                               "--model",
                               golden("tiny-fill"),
                               "--no-lora",
                               "--width",
                               "64",
                               "--sizing",
                               "icedit",
                               "--steps",
                               "4",
                               "--guidance",
                               "50",
                               "--seed",
                               "666",
                               "--noise-order",
                               order,
                               "-o",
                               order + ".png"});
    ASSERT_EQ(result.code, 0) << result.err;
    const Image got = output(order + ".png");
    const std::string name =
        order == "current" ? "pipeline/0_cli_0_crop.png" : "pipeline/0_early_noise_0_crop.png";
    const Image want = read_image(golden(name));
    ASSERT_EQ(got.pixels.size(), want.pixels.size());
    for (size_t i = 0; i < got.pixels.size(); ++i) {
      ASSERT_LE(std::abs(got.pixels[i] - want.pixels[i]), 1) << name << " at byte " << i;
    }
  }
}

TEST_F(Edit, OutsideTheMaskThePixelsStay) {
  Image mask(384, 384, 1);
  for (int y = 100; y < 300; ++y) std::fill(mask.at(100, y), mask.at(300, y), 255);
  write_image(work() / "mask.png", mask);
  ASSERT_EQ(edit({"-o", "out.png", "--mask", "mask.png", "--output-size", "source"}).code, 0);
  const Image out = output("out.png"), source = output("car.png");
  ASSERT_EQ(out.width, 384);
  int changed = 0;
  for (int y = 0; y < 384; ++y) {
    for (int x = 0; x < 384; ++x) {
      const bool same = std::equal(out.at(x, y), out.at(x, y) + 3, source.at(x, y));
      const bool inside = x >= 100 && x < 300 && y >= 100 && y < 300;
      EXPECT_TRUE(same || inside) << x << ", " << y;
      changed += same ? 0 : 1;
    }
  }
  EXPECT_GT(changed, 10000);

  write_image(work() / "small.png", Image(10, 10, 1));
  expect_failure({"edit", "car.png", "x", "--mask", "small.png", "-o", "o.png"}, 2,
                 "small.png is 10x10 pixels");
}

TEST_F(Edit, KeepsTheColourProfile) {
  const Image car = output("car.png");
  const std::string profile = test_profile();
  const auto profile_of = [this](const std::string& name) {
    return read_colour_profile(work() / name);
  };
  for (const auto& [from, to] : {std::pair{"photo.jpg", "png"}, std::pair{"photo.png", "webp"},
                                 std::pair{"photo.webp", "jpg"}}) {
    write_image(work() / from, car, {}, 95, profile);
    const std::string out = str("out.", to);
    const Result result = run({"edit", from, "x", "--steps", "1", "-o", out, "--preview", "1"});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(profile_of(out), profile) << out;
    EXPECT_EQ(profile_of("out.preview-001.png"), "");
    fs::remove(work() / "out.preview-001.png");
  }
  const Result piped = run({"edit", "photo.jpg", "x", "--steps", "1", "-o", "-"});
  write("piped.png", piped.out);
  EXPECT_EQ(profile_of("piped.png"), profile);
  ASSERT_EQ(edit({"-o", "plain.png"}).code, 0);
  EXPECT_EQ(profile_of("plain.png"), "");
}

// Each edit has its own input's, in a batch too; a grey picture's is left out.
TEST_F(Edit, ColourProfilesOfABatchAreNotMixed) {
  const Image car = output("car.png");
  write_image(work() / "a.png", car, {}, 95, test_profile("RGB ", 300));
  write_image(work() / "b.png", car, {}, 95, test_profile("RGB ", 400));
  copy(golden("pictures/profile_grey.png"), "grey.png");
  const Result result = run({"edit", "a.png", "grey.png", "b.png", "x", "--steps", "1",
                             "--num-images", "2", "--output-dir", "out"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(has(result.err, "warning: grey.png: its colour profile is left out")) << result.err;
  const auto size_of = [this](const std::string& name) {
    return read_colour_profile(work() / "out" / name).size();
  };
  for (const char* image : {"1", "2"}) {
    EXPECT_EQ(size_of(str("a-", image, ".png")), 300u);
    EXPECT_EQ(size_of(str("b-", image, ".png")), 400u);
    EXPECT_EQ(size_of(str("grey-", image, ".png")), 0u);
  }
}

TEST_F(Edit, PreviewsComeEveryNSteps) {
  ASSERT_EQ(edit({"-o", "out.png", "--steps", "4", "--preview", "2"}).code, 0);
  EXPECT_EQ(files(), (std::set<std::string>{"car.png", "out.png", "out.preview-002.png",
                                            "out.preview-004.png"}));
  EXPECT_LT(output("out.preview-002.png").width, 96);
  ASSERT_EQ(edit({"-o", "full.png", "--preview", "1", "--preview-full"}).code, 0);
  EXPECT_EQ(output("full.preview-001.png").width, 96);
  // The last guess is the edit itself.
  EXPECT_EQ(output("full.preview-002.png"), output("full.png"));
}

TEST_F(Edit, ADryRunSaysWhatWouldHappenAndDoesNothing) {
  const Result result = edit({"-o", "out.png", "--dry-run", "--seed", "3", "--num-images", "2"});
  ASSERT_EQ(result.code, 0) << result.err;
  for (const char* part :
       {"transformer", "9.3 M", "F16", "memory", "384x384) at 96x96", "out-1.png", "seed"}) {
    EXPECT_TRUE(has(result.out, part)) << part << " in " << result.out;
  }
  EXPECT_EQ(files(), std::set<std::string>{"car.png"});
  const Json json =
      Json::parse(edit({"-o", "out.png", "--dry-run", "--json", "--guidance", "3"}).out);
  EXPECT_EQ(json["edits"][0]["settings"]["guidance"], 3);
  EXPECT_EQ(json["edits"][0]["settings"]["max_sequence_length"], 44);
  EXPECT_EQ(json["components"].size(), 4u);
  EXPECT_EQ(json["dtype"], "float32");
  EXPECT_EQ(json["quant"], "none");
}

TEST_F(Edit, ADryRunNamesTheQuantisationAsTheRecipeDoes) {
  const Json planned =
      Json::parse(edit({"--quant", "int8", "-o", "out.png", "--dry-run", "--json"}).out);
  ASSERT_EQ(edit({"--quant", "int8", "-o", "out.png"}).code, 0);
  EXPECT_EQ(planned["quant"], "int8");
  EXPECT_EQ(planned["quant"], inspect("out.png")["recipe"]["quant"]);
  EXPECT_TRUE(has(edit({"--quant", "int8", "--dry-run"}).out, "\nquant      int8\n"));
}

TEST_F(Edit, CtrlCEndsWithinAStepAndLeavesNothing) {
  const auto before = files();
  const pid_t child =
      start({"edit", "car.png", "make the car red", "--steps", "10000", "-o", "out.png"});
  for (int i = 0; i < 600 && !has(error_so_far(), "layers");
       ++i) {  // the adapter's line: it denoises now
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  kill(child, SIGINT);
  const Result result = wait(child);
  EXPECT_EQ(result.code, 130) << result.err;
  EXPECT_TRUE(has(result.err, "Ctrl+C")) << result.err;
  EXPECT_EQ(files(), before);
}

TEST_F(Edit, WhatAnotherProgramWroteMeanwhileStaysAndSoDoesTheEdit) {
  const pid_t child =
      start({"edit", "car.png", "make the car red", "--steps", "100", "-o", "out.png"});
  for (int i = 0; i < 600 && !has(error_so_far(), "layers"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  write("out.png", "another's");
  const Result result = wait(child);
  EXPECT_EQ(result.code, 2) << result.err;
  EXPECT_TRUE(has(result.err, "kept as out-1.png")) << result.err;
  EXPECT_EQ(read_file(work() / "out.png"), "another's");
  EXPECT_EQ(output("out-1.png").width, 96);
}

TEST_F(Edit, AnAnimationIsEditedByItsFirstFrame) {
  copy(golden("pictures/animated.webp"), "a.webp");
  const Result result = run({"edit", "a.webp", "make it red", "--steps", "1", "-o", "out.png"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(has(result.err, "a.webp is an animation of ")) << result.err;
}

TEST_F(Edit, QuietSaysOnlyTheResult) {
  const Result result = edit({"-o", "out.png", "--quiet", "--seed", "1"});
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.out, "out.png  seed 1\n");
}

TEST_F(Edit, StandardOutputIsThePicture) {
  const Result result = edit({"-o", "-", "--seed", "7"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(has(result.err, "seed 7"));
  write("piped.png", result.out);
  ASSERT_EQ(edit({"-o", "out.png", "--seed", "7"}).code, 0);
  EXPECT_EQ(read_file(work() / "piped.png"), read_file(work() / "out.png"));
}

TEST_F(Edit, ABatchGoesOnWithoutWhatCannotBeEdited) {
  write("b.png", "this is no picture");
  copy(asset("desert-car.png"), "c.png");
  const Result result = run({"edit", "b.png", "car.png", "c.png", "make it red", "--steps", "1",
                             "-o", "out/", "--json", "--seed", "1"});
  EXPECT_EQ(result.code, 66) << result.err;
  EXPECT_EQ(files(),
            (std::set<std::string>{"b.png", "c.png", "car.png", "out/c.png", "out/car.png"}));
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["outputs"].size(), 2u);
  ASSERT_EQ(json["failures"].size(), 1u);
  EXPECT_EQ(json["failures"][0]["input"], "b.png");
  EXPECT_EQ(json["failures"][0]["exit_code"], 66);
  EXPECT_TRUE(has(json["failures"][0]["error"], "b.png"));
  EXPECT_TRUE(has(result.err, "icedit: error: not edited as asked: 1 of 3 inputs"));
  // A picture alone is the error itself, also for who asked for JSON.
  const Result alone = run({"edit", "b.png", "make it red", "--json"});
  EXPECT_EQ(alone.code, 66);
  EXPECT_EQ(Json::parse(alone.out)["exit_code"], 66);
  EXPECT_TRUE(has(Json::parse(alone.out)["error"], "b.png"));
}

TEST_F(Edit, OfTwoRunsThatEndTogetherBothKeepTheirEdit) {
  const auto together = [&](const std::vector<std::string>& more) {
    std::vector<pid_t> runs;
    std::vector<Result> results;
    for (const std::string seed : {"1", "2"}) {
      std::vector<std::string> arguments = {"edit", "car.png", "make it red", "--steps",
                                            "2",    "--seed",  seed};
      arguments.insert(arguments.end(), more.begin(), more.end());
      Limits limits;
      limits.name = seed;
      runs.push_back(start(arguments, limits));
    }
    for (const int i : {0, 1}) results.push_back(wait(runs[i], i == 0 ? "1" : "2"));
    return results;
  };
  // Names of ours: the next will do.
  for (const Result& result : together({})) EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(files(), (std::set<std::string>{"car.png", "car-edit-1.png", "car-edit-2.png"}));
  EXPECT_NE(inspect("car-edit-1.png")["recipe"]["edit"]["seed"],
            inspect("car-edit-2.png")["recipe"]["edit"]["seed"]);
  // A name of the user's: one has it, the other says where its edit is, or that it was there.
  const std::vector<Result> named = together({"-o", "out.png"});
  EXPECT_EQ(named[0].code + named[1].code, 2) << named[0].err << named[1].err;
  const Result& second = named[0].code == 2 ? named[0] : named[1];
  EXPECT_TRUE(has(second.err, "out.png exists already") ||
              (has(second.err, "kept as out-1.png") && files().count("out-1.png") == 1))
      << second.err;
}

TEST_F(Edit, TwoWorkersWithSkipExistingDoEachPictureOnce) {
  for (int i = 0; i < 12; ++i) copy(asset("desert-car.png"), str("in/", i, ".png"));
  write("out/.3.png.claim", "");  // of a worker that was killed
  const std::vector<std::string> arguments = {"edit",   "in", "make it red", "--steps",
                                              "1",      "-o", "out",         "--skip-existing",
                                              "--seed", "1",  "--preview",   "1"};
  Limits first, second;
  first.name = "1", second.name = "2";
  const pid_t one = start(arguments, first), two = start(arguments, second);
  const Result a = wait(one, "1"), b = wait(two, "2");
  EXPECT_EQ(a.code, 0) << a.err;
  EXPECT_EQ(b.code, 0) << b.err;
  const std::string all = a.out + b.out;
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 12) << all;
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(files().count(str("out/", i, ".png")), 1u) << i;
    EXPECT_EQ(files().count(str("out/", i, ".preview-001.png")), 1u) << i;
  }
  EXPECT_EQ(files().size(), 1u + 3 * 12);  // no claim is left
}

TEST_F(Edit, OfSeveralImagesThoseThatAreThereStay) {
  const std::string before = read_file(copy(asset("desert-car.png"), "out-1.png"));
  ASSERT_EQ(edit({"-o", "out.png", "--num-images", "2", "--skip-existing"}).code, 0);
  EXPECT_EQ(read_file(work() / "out-1.png"), before);
  EXPECT_EQ(output("out-2.png").width, 96);
}

TEST_F(Edit, APreviewReplacesNothing) {
  copy(asset("desert-car.png"), "x.preview-002.png");
  expect_failure(
      {"edit", "x.preview-002.png", "x", "--preview", "2", "--steps", "2", "-o", "x.png"}, 2,
      "x.preview-002.png, which is read by this run too");
  expect_failure({"edit", "car.png", "x", "--preview", "2", "--steps", "2", "-o", "x.png"}, 2,
                 "x.preview-002.png exists already");
}

TEST_F(Edit, ALimitOfFileSizesIsAnErrorThatLeavesNothing) {
  Limits limits;
  limits.file_bytes = 4096;
  const std::set<std::string> before = files();
  const Result result =
      run({"edit", "car.png", "make it red", "--steps", "1", "-o", "o.png"}, limits);
  EXPECT_EQ(result.code, 74) << result.err;
  EXPECT_TRUE(has(result.err, "`ulimit -f` allows a file 4096 bytes")) << result.err;
  const Result convert =
      run({"convert", golden("lora/alpha4"), "--format", "kohya", "-o", "k.safetensors"}, limits);
  EXPECT_EQ(convert.code, 74) << convert.err;
  EXPECT_EQ(files(), before);
}

// Masks as drawing programs save them, and as other APIs take them.
TEST_F(Edit, WhatIsTransparentInAMaskStays) {
  const Image source = output("car.png");
  Image painted(384, 384, 4), erased(384, 384, 4);
  for (int y = 0; y < 384; ++y) {
    for (int x = 0; x < 384; ++x) {
      const bool inside = x >= 100 && x < 300 && y >= 100 && y < 300;
      std::fill_n(painted.at(x, y), 4, inside ? 255 : 0);
      std::copy_n(source.at(x, y), 3, erased.at(x, y));
      erased.at(x, y)[3] = inside ? 0 : 255;
    }
  }
  Image black = painted;
  for (size_t i = 0; i < black.pixels.size(); ++i)
    black.pixels[i] = i % 4 == 3 ? black.pixels[i] : 0;
  Image dot(384, 384, 1);
  *dot.at(5, 5) = 255;
  write_image(work() / "painted.webp", painted, {}, 100);
  write_image(work() / "black.png", black);
  write_image(work() / "erased.png", erased);
  write_image(work() / "dot.png", dot);
  ASSERT_EQ(edit({"-o", "out.png", "--mask", "painted.webp", "--output-size", "source"}).code, 0);
  const Image out = output("out.png");
  for (const auto& [x, y] : {std::pair{5, 5}, std::pair{380, 200}, std::pair{200, 380}})
    EXPECT_TRUE(std::equal(out.at(x, y), out.at(x, y) + 3, source.at(x, y))) << x << ", " << y;
  const auto with = [](const std::string& mask) {
    return std::vector<std::string>{"edit", "car.png", "x", "--mask", mask, "-o", "o.png"};
  };
  expect_failure(with("black.png"), 2, "it selects nothing: the edit goes where a mask is white");
  expect_failure(with("dot.png"), 2, "so little of it is white that nothing is left at 96x96");
  const Result copied = edit({"-o", "e.png", "--mask", "erased.png"});
  EXPECT_TRUE(has(copied.err, "erased.png is a copy of car.png with a transparent hole"));
  EXPECT_TRUE(has(copied.err, "where alpha is 0")) << copied.err;
}

TEST_F(Edit, WhatWouldNotFitIntoTheMemoryIsNotBegun) {
  expect_failure({"edit", "car.png", "make it red", "--width", "16384"}, 1,
                 "car.png: an edit of 16384x16384 pixels needs about");
  const Result dry = run({"edit", "car.png", "make it red", "--width", "16384", "--dry-run"});
  EXPECT_EQ(dry.code, 0);
  EXPECT_TRUE(has(dry.out, "too little: car.png: an edit of 16384x16384")) << dry.out;
}

TEST_F(Edit, LongInstructionsSayWhatIsNotRead) {
  std::string words = "make it winter and";
  for (int i = 0; i < 60; ++i) words += " colder";
  const Result result = run({"edit", "car.png", words, "--steps", "1", "-o", "out.png"});
  EXPECT_EQ(result.code, 0);
  EXPECT_TRUE(has(result.err, "warning") && has(result.err, "44") && has(result.err, "77"))
      << result.err;
}

}  // namespace
}  // namespace icedit::e2e
