#include "cli/edit_jobs.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/edit_warnings.h"
#include "cli/output_names.h"
#include "cli/temporary_folder.h"

namespace icedit::cli {
namespace {

// Runs in a folder of its own, since outputs without a folder land in the working one.
class EditJobs : public ::testing::Test {
 protected:
  EditJobs() : before_(std::filesystem::current_path()) {
    std::filesystem::current_path(folder_.path());
  }
  ~EditJobs() override { std::filesystem::current_path(before_); }

  std::vector<EditJob> plan(const std::vector<std::string>& arguments) {
    options_ = parse_edit_options(arguments);
    return plan_jobs(options_);
  }
  std::string usage(const std::vector<std::string>& arguments) {
    return error_of<UsageError>([&] { plan(arguments); });
  }

  CommandFolder folder_;
  EditOptions options_;

 private:
  Path before_;
};

std::vector<std::string> outputs(const std::vector<EditJob>& jobs) {
  std::vector<std::string> names;
  for (const EditJob& job : jobs) {
    for (const Path& output : job.outputs) names.push_back(output.string());
  }
  return names;
}

using Names = std::vector<std::string>;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(EditJobs, OnePictureAndItsInstruction) {
  folder_.picture("a.png");
  const auto jobs = plan({"a.png", "make it winter", "-o", "b.jpg", "--steps", "4", "--seed", "7"});
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].settings.image, "a.png");
  EXPECT_EQ(jobs[0].settings.request.instruction, "make it winter");
  EXPECT_EQ(jobs[0].settings.request.steps, 4);
  EXPECT_EQ(jobs[0].settings.seed, 7u);
  EXPECT_EQ(outputs(jobs), Names{"b.jpg"});
}

TEST_F(EditJobs, ThePublishedScriptsFlags) {
  folder_.picture("in/girl.png");
  const auto jobs =
      plan({"--image", "in/girl.png", "--instruction", "Make her hair dark green", "--seed",
            "304897401", "--output-dir", "out", "--flux-path", "some/model", "--lora-path",
            "some/lora", "--enable-model-cpu-offload", "--text_encoder_2", "t5.safetensors"});
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(outputs(jobs), Names{"out/girl.png"});
  EXPECT_EQ(options_.model.request.model, "some/model");
  EXPECT_EQ(options_.model.request.t5, "t5.safetensors");
  ASSERT_EQ(options_.model.adapters.size(), 1u);
  EXPECT_EQ(options_.model.adapters[0].path, "some/lora");
  EXPECT_TRUE(options_.model.memory.low_memory);
}

TEST_F(EditJobs, DefaultNamesAreTheFirstThatAreFree) {
  folder_.picture("in/a.jpg");
  folder_.picture("a-edit-1.png");
  folder_.picture("a-edit-3.png");
  EXPECT_EQ(outputs(plan({"in/a.jpg", "x"})), Names{"a-edit-2.png"});
  EXPECT_EQ(outputs(plan({"in/a.jpg", "x", "--num-images", "2"})),
            (Names{"a-edit-4.png", "a-edit-5.png"}));
  EXPECT_EQ(outputs(plan({"in/a.jpg", "in/a.jpg", "x"})), (Names{"a-edit-2.png", "a-edit-4.png"}));
}

TEST_F(EditJobs, FoldersKeepNamesAndNumberThoseThatCoincide) {
  folder_.picture("in/b.png");
  folder_.picture("in/a.jpg");
  folder_.write("in/notes.txt", "no picture");
  folder_.picture("other/a.jpg");
  EXPECT_EQ(outputs(plan({"in", "x", "-o", "out/"})), (Names{"out/a.jpg", "out/b.png"}));
  EXPECT_EQ(outputs(plan({"in", "x", "--output-dir", "out"})), (Names{"out/a.jpg", "out/b.png"}));
  EXPECT_EQ(outputs(plan({"in/a.jpg", "other/a.jpg", "x", "-o", "out"})),
            (Names{"out/a-1.jpg", "out/a-2.jpg"}));
  EXPECT_EQ(outputs(plan({"in/b.png", "x", "-o", "c.webp", "--num-images", "3"})),
            (Names{"c-1.webp", "c-2.webp", "c-3.webp"}));
}

TEST_F(EditJobs, ABatchOverridesTheCommandLineLineByLine) {
  folder_.picture("in/a.png");
  folder_.picture("in/m.png");
  folder_.write("in/edits.jsonl",
                "{\"image\": \"a.png\", \"instruction\": \"one\", \"output\": \"first.png\"}\n"
                "\n"
                "{\"image\": \"a.png\", \"seed\": 5, \"num_images\": 2, \"guidance-scale\": 3.5, "
                "\"mask\": \"m.png\", "
                "\"sizing\": \"icedit\"}\n");
  const auto jobs =
      plan({"in/edits.jsonl", "--instruction", "two", "--steps", "3", "--output-dir", "out"});
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].settings.request.instruction, "one");
  EXPECT_EQ(jobs[1].settings.request.instruction, "two");
  EXPECT_EQ(jobs[0].settings.request.steps, 3);
  EXPECT_EQ(jobs[1].settings.seed, 5u);
  EXPECT_EQ(jobs[1].settings.request.guidance, 3.5);
  EXPECT_EQ(jobs[1].settings.mask, "in/m.png");
  EXPECT_EQ(jobs[1].settings.request.sizing, Sizing::kIcedit);
  EXPECT_EQ(jobs[0].settings.mask, "");
  EXPECT_EQ(outputs(jobs), (Names{"out/first.png", "out/a-1-1.png", "out/a-1-2.png"}));
}

TEST_F(EditJobs, ABadLineIsNamed) {
  folder_.picture("a.png");
  const auto line = [&](const std::string& text) {
    folder_.write("x.jsonl", "{\"image\": \"a.png\", \"instruction\": \"x\"}\n" + text + "\n");
    return usage({"x.jsonl", "-o", "out/"});
  };
  EXPECT_TRUE(contains(line("{\"image\": "), "x.jsonl, line 2: expected a JSON object"));
  EXPECT_TRUE(contains(line("{\"image\": \"a.png\""), "; at character 18: syntax error"));
  EXPECT_TRUE(contains(line("[1]"), "x.jsonl, line 2: expected a JSON object"));
  EXPECT_TRUE(contains(line("{\"instruction\": \"x\"}"), "line 2: 'image' is missing"));
  EXPECT_TRUE(contains(line("{\"image\": \"a.png\", \"stpes\": 3}"),
                       "unknown key 'stpes'; did you mean 'steps'?"));
  EXPECT_TRUE(contains(line("{\"image\": \"a.png\", \"steps\": \"x\"}"),
                       "line 2: 'steps' is 'x', expected a whole"));
  EXPECT_TRUE(contains(line("{\"image\": \"a.png\", \"steps\": [3]}"),
                       "line 2: 'steps' is [3], expected a whole"));
  EXPECT_TRUE(contains(line("{\"image\": \"a.png\"}"), "line 2: there is no instruction"));
  const auto missing = [&](const std::string& text) {
    folder_.write("x.jsonl", text + "\n");
    return error_of<Error>([&] { plan({"x.jsonl", "make it red"}); });
  };
  EXPECT_TRUE(contains(missing("{\"image\": \"b.png\"}"), "x.jsonl, line 1: b.png: no such file"));
  EXPECT_TRUE(contains(missing("{\"image\": \"a.png\", \"mask\": \"m.png\"}"),
                       "x.jsonl, line 1: m.png: no such file"));
  folder_.write("x.json", "[]");
  EXPECT_TRUE(contains(usage({"x.json", "make it red"}), ".jsonl"));
}

TEST_F(EditJobs, InputsThatAreMissing) {
  folder_.picture("a.png");
  std::filesystem::create_directory("empty");
  EXPECT_TRUE(contains(usage({}), "no picture was given"));
  EXPECT_TRUE(contains(usage({"make it night"}), "no picture was given: icedit edit PICTURE"));
  EXPECT_TRUE(contains(usage({"make it night"}), "\"make it night\""));
  EXPECT_TRUE(contains(usage({"a.png"}), "a.png: there is no instruction"));
  EXPECT_TRUE(contains(usage({"", "a.png"}), "the name of a picture is empty"));
  EXPECT_TRUE(contains(usage({"a.png", ""}), "there is no instruction"));
  EXPECT_TRUE(contains(usage({"a.png", "  "}), "there is no instruction"));
  const auto no_input = [&](const std::vector<std::string>& arguments) {
    return error_of<NoInputError>([&] { plan(arguments); });
  };
  EXPECT_TRUE(contains(no_input({"b.png", "x"}), "b.png"));
  EXPECT_TRUE(contains(no_input({"empty", "x"}), "no picture in this folder"));
  EXPECT_TRUE(contains(no_input({"a.png", "make", "it", "red"}), "needs quotes"));
  EXPECT_TRUE(contains(no_input({"a.png", "b.png"}), "b.png"));  // no instruction "b.png"
  EXPECT_TRUE(contains(no_input({"night"}), "no such picture"));
  EXPECT_TRUE(contains(no_input({"night", "a.png"}), "comes last"));
  folder_.write("e.jsonl", "\n");
  EXPECT_TRUE(contains(no_input({"e.jsonl", "x"}), "no line"));
}

TEST_F(EditJobs, AnInstructionOfSeveralWordsMayComeFirst) {
  folder_.picture("a.png");
  folder_.picture("b.png");
  const auto jobs = plan({"make it night", "a.png", "b.png"});
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].settings.request.instruction, "make it night");
  EXPECT_EQ(jobs[1].settings.image, "b.png");
}

TEST_F(EditJobs, EarlierEditsInAFolderAreLeftOut) {
  folder_.picture("a.JPG");
  folder_.picture("b.png");
  folder_.picture("night-edit-1.png");  // there is no night.*: somebody's own name
  for (const char* ours :
       {"a-edit-1.png", "a-edit-12.png", "a-edit-1-edit-1.png", "b-edit-1.preview-002.png"}) {
    folder_.picture(ours);
  }
  EXPECT_EQ(outputs(plan({".", "x", "-o", "out"})),
            (Names{"out/a.JPG", "out/b.png", "out/night-edit-1.png"}));
  EXPECT_EQ(outputs(plan({"a-edit-1.png", "x", "-o", "out"})), Names{"out/a-edit-1.png"});
}

TEST_F(EditJobs, StandardOutputTakesOnePicture) {
  folder_.picture("a.png");
  folder_.picture("b.png");
  EXPECT_EQ(outputs(plan({"a.png", "x", "-o", "-"})), Names{"-"});
  EXPECT_TRUE(contains(usage({"a.png", "b.png", "x", "-o", "-"}), "one picture"));
  EXPECT_TRUE(contains(usage({"a.png", "x", "-o", "-", "--num-images", "2"}), "one picture"));
  EXPECT_TRUE(contains(usage({"a.png", "x", "-o", "-", "--json"}), "--json"));
  EXPECT_TRUE(contains(usage({"a.png", "x", "-o", "-", "--preview", "2"}), "--preview"));
}

TEST_F(EditJobs, TextThatIsNoUtf8IsRefused) {
  folder_.picture("a.png");
  EXPECT_TRUE(contains(usage({"a.png", "caf\xe9"}), "a.png: the instruction is no valid UTF-8"));
  folder_.write("x.jsonl", "{\"image\": \"a.png\", \"instruction\": \"caf\xe9\"}\n");
  EXPECT_TRUE(contains(usage({"x.jsonl"}), "x.jsonl, line 1 is no valid UTF-8"));
  EXPECT_EQ(plan({"a.png", "caf\xc3\xa9"}).size(), 1u);
}

TEST_F(EditJobs, NothingIsOverwrittenUnasked) {
  folder_.picture("a.png");
  folder_.picture("b.png");
  EXPECT_TRUE(contains(usage({"a.png", "x", "-o", "b.png"}), "b.png exists already"));
  EXPECT_TRUE(contains(usage({"a.png", "x", "--output-dir", "."}), "is an input itself"));
  EXPECT_EQ(outputs(plan({"a.png", "x", "-o", "b.png", "--force"})), Names{"b.png"});
  EXPECT_EQ(outputs(plan({"a.png", "x", "-o", "a.png", "--force"})), Names{"a.png"});
  // Not even with --force where a later edit still needs it.
  folder_.write("x.jsonl",
                "{\"image\": \"a.png\", \"output\": \"b.png\"}\n{\"image\": \"b.png\", \"output\": "
                "\"c.png\"}\n");
  EXPECT_TRUE(contains(usage({"x.jsonl", "--instruction", "x", "--force"}), "still needed"));
  folder_.write("y.jsonl",
                "{\"image\": \"a.png\", \"output\": \"d.png\"}\n{\"image\": \"b.png\", \"output\": "
                "\"d.png\"}\n");
  EXPECT_TRUE(
      contains(usage({"y.jsonl", "--instruction", "x"}), "two edits would be written to d.png"));
}

TEST_F(EditJobs, SkipExistingGoesOnWithABatch) {
  folder_.picture("in/a.png");
  folder_.picture("in/b.png");
  folder_.picture("out/a.png");
  EXPECT_EQ(outputs(plan({"in", "x", "-o", "out", "--skip-existing"})), Names{"out/b.png"});
  // Names that are free exist never: nothing would be left out.
  EXPECT_TRUE(contains(usage({"in", "x", "--skip-existing"}), "name a folder with -o"));
}

TEST_F(EditJobs, PreviewsReplaceNothingEither) {
  folder_.picture("a.png");
  folder_.picture("b.preview-004.png");
  folder_.picture("c.preview-003.png");
  const auto check = [&](const Names& arguments) {
    return error_of<UsageError>([&] { check_previews(plan(arguments), options_, /*steps=*/8); });
  };
  EXPECT_TRUE(contains(check({"a.png", "x", "-o", "b.png", "--preview", "4"}),
                       "b.preview-004.png exists already"));
  EXPECT_EQ(check({"a.png", "x", "-o", "b.png", "--preview", "4", "--force"}), "");
  EXPECT_EQ(check({"a.png", "x", "-o", "b.png", "--preview", "5"}), "");
  EXPECT_EQ(check({"a.png", "x", "-o", "b.png", "--preview", "2", "--steps", "3"}), "");
  EXPECT_EQ(check({"a.png", "x", "-o", "c.png", "--preview", "4"}), "");
  EXPECT_EQ(check({"a.png", "x", "-o", "b.png", "--num-images", "2", "--preview", "4"}), "");
  // What is there is left alone by --skip-existing.
  EXPECT_EQ(check({"a.png", "x", "-o", "b.png", "--preview", "4", "--skip-existing"}), "");
  // An input not even with --force.
  EXPECT_TRUE(contains(
      check({"b.preview-004.png", "x", "-o", "b.png", "--preview", "4", "--force"}), "is read"));
  folder_.write("x.jsonl",
                "{\"image\": \"a.png\", \"output\": \"d.png\"}\n{\"image\": \"a.png\", \"output\": "
                "\"d.jpg\"}\n");
  EXPECT_TRUE(contains(check({"x.jsonl", "--instruction", "x y", "--preview", "4"}), "is written"));
}

TEST_F(EditJobs, ALinkToNothingIsNotReplaced) {
  folder_.picture("a.png");
  std::filesystem::create_symlink("nowhere.png", "b.png");
  EXPECT_TRUE(contains(usage({"a.png", "x", "-o", "b.png"}), "b.png exists already"));
  EXPECT_EQ(plan({"a.png", "x", "-o", "b.png", "--force"}).size(), 1u);
}

TEST_F(EditJobs, OfSeveralEditsOneThatExistsMaySkip) {
  folder_.picture("in/a.png");
  folder_.picture("in/b.png");
  folder_.picture("out/b.png");
  EXPECT_TRUE(contains(usage({"in", "x", "-o", "out"}), "--skip-existing"));
  EXPECT_FALSE(contains(usage({"in/b.png", "x", "-o", "out"}), "--skip-existing"));
}

TEST_F(EditJobs, ABatchStaysInItsFolder) {
  folder_.picture("a.png");
  const auto line = [&](const std::string& output) {
    folder_.write("x.jsonl", "{\"image\": \"a.png\", \"instruction\": \"x\", \"output\": \"" +
                                 output + "\"}\n");
    return Names{"x.jsonl", "-o", "out/"};
  };
  EXPECT_TRUE(contains(usage(line("../b.png")), "x.jsonl, line 1: 'output' ../b.png leaves out"));
  EXPECT_TRUE(contains(usage(line("c/../../b.png")), "leaves"));
  EXPECT_EQ(outputs(plan(line("c/../b.png"))), Names{"out/c/../b.png"});
  const std::string elsewhere = folder_ / "b.png";
  EXPECT_EQ(outputs(plan(line(elsewhere))), Names{elsewhere});
}

std::string long_name(size_t length) {
  std::string name;
  while (name.size() < length) name += 'b';
  return name;
}

TEST_F(EditJobs, NamesThatAreTooLong) {
  folder_.picture("a.png");
  EXPECT_TRUE(contains(usage({"a.png", "x", "-o", long_name(300) + ".png"}),
                       "a name of 304 bytes, but the file system takes 255"));
  EXPECT_TRUE(contains(usage({"a.png", "x", "-o", long_name(300) + "/c.png"}), "bytes"));
  const std::string longest = long_name(251) + ".png";
  EXPECT_EQ(outputs(plan({"a.png", "x", "-o", longest})), Names{longest});
  EXPECT_TRUE(contains(usage({"a.png", "x", "-o", longest, "--preview", "2"}), ".preview-"));
  std::string deep;
  while (deep.size() < 4096) deep += long_name(200) + "/";
  EXPECT_TRUE(contains(usage({"a.png", "x", "-o", deep + "b.png"}), "too long for the system"));
}

TEST_F(EditJobs, AFeatherNeedsAMask) {
  folder_.picture("a.png");
  EXPECT_TRUE(contains(usage({"a.png", "x", "--feather", "4"}), "--feather 4 blends"));
  EXPECT_EQ(plan({"a.png", "x", "--feather", "4", "--mask", "a.png"}).size(), 1u);
  const std::string with = "{\"image\": \"a.png\", \"mask\": \"a.png\"}\n";
  folder_.write("x.jsonl", with + "{\"image\": \"a.png\"}\n");
  EXPECT_EQ(plan({"x.jsonl", "x y", "--feather", "4"}).size(), 2u);
  folder_.write("x.jsonl", with + "{\"image\": \"a.png\", \"feather\": 3}\n");
  EXPECT_TRUE(contains(usage({"x.jsonl", "x y"}), "x.jsonl, line 2: 'feather' 3"));
}

TEST_F(EditJobs, WhatDoesNothingIsSaid) {
  folder_.picture("a.png");
  const auto warnings = [&](Names more) {
    more.insert(more.begin(), {"a.png", "x"});
    ModelDefaults defaults;
    defaults.width = 96;
    defaults.num_inference_steps = 8;
    const auto jobs = plan(more);
    std::string all;
    for (const std::string& line : settings_warnings(options_, jobs, defaults)) all += line + "\n";
    return all;
  };
  EXPECT_EQ(warnings({}), "");
  EXPECT_EQ(warnings({"--width", "192"}), "");
  EXPECT_EQ(warnings({"--width", "48"}), "");
  EXPECT_TRUE(contains(warnings({"--width", "512"}), "--width 512 is more than twice the 96"));
  EXPECT_TRUE(contains(warnings({"--width", "32"}), "--width 32 is less than half of the 96"));
  EXPECT_EQ(warnings({"--preview", "8"}), "");
  EXPECT_TRUE(contains(warnings({"--preview", "9"}), "--preview 9 is more than the 8 steps"));
  EXPECT_EQ(warnings({"--preview", "9", "--steps", "9"}), "");
  EXPECT_TRUE(contains(warnings({"--quality", "95"}), "--quality does nothing for PNG"));
  EXPECT_TRUE(contains(warnings({"--quality", "9", "-o", "-"}), "--quality does nothing"));
  EXPECT_EQ(warnings({"--quality", "9", "-o", "b.webp"}), "");
}

TEST_F(EditJobs, NamesThatCannotBeWritten) {
  folder_.picture("a.png");
  folder_.write("file", "");
  EXPECT_TRUE(contains(usage({"a.png", "x", "-o", "b.tiff"}), ".tiff"));
  EXPECT_TRUE(
      contains(usage({"a.png", "a.png", "x", "-o", "b.png"}), "is one file, but there are 2"));
  EXPECT_NE(error_of<IoError>([&] { plan({"a.png", "x", "-o", "file/b.png"}); }), "");
}

TEST_F(EditJobs, SeedsAreRandomOnesThatFit) {
  folder_.picture("a.png");
  const auto first = plan({"a.png", "x"}), second = plan({"a.png", "x"});
  EXPECT_LE(*first[0].settings.seed, 0x7fffffffu);
  EXPECT_NE(first[0].settings.seed, second[0].settings.seed);  // one in 2^31
}

// Any that torch's generator can take.
TEST_F(EditJobs, SeedsHave64Bits) {
  folder_.picture("a.png");
  const auto seed = [&](const std::string& text, const std::string& images = "1") {
    return *plan({"a.png", "x", "--seed", text, "--num-images", images})[0].settings.seed;
  };
  EXPECT_EQ(seed("-1"), UINT64_MAX);  // the same to the generator
  EXPECT_EQ(seed("-9223372036854775808"), uint64_t{1} << 63);
  EXPECT_EQ(seed("9223372036854775807", "2"), uint64_t{INT64_MAX});
  EXPECT_EQ(seed("9223372036854775808"), uint64_t{1} << 63);
  EXPECT_EQ(seed("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(seed("18446744073709551614", "2"), UINT64_MAX - 1);
  EXPECT_TRUE(contains(usage({"a.png", "x", "--seed", "18446744073709551615", "--num-images", "2"}),
                       "seed 18446744073709551615 leaves no room for 2 images"));
  for (const char* none : {"18446744073709551616", "-9223372036854775809", "1.5", "+1", "x"})
    EXPECT_TRUE(contains(usage({"a.png", "x", "--seed", none}), "expected a whole number")) << none;

  folder_.write("batch.jsonl",
                "{\"image\": \"a.png\", \"seed\": 18446744073709551615}\n"
                "{\"image\": \"a.png\", \"seed\": -2}\n");
  const std::vector<EditJob> jobs = plan({"batch.jsonl", "x"});
  EXPECT_EQ(*jobs[0].settings.seed, UINT64_MAX);
  EXPECT_EQ(*jobs[1].settings.seed, UINT64_MAX - 1);
  EXPECT_TRUE(contains(dumped(settings_json(jobs[0].settings)), "\"seed\":18446744073709551615"));
}

}  // namespace
}  // namespace icedit::cli
