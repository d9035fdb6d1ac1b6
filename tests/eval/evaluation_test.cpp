// Whole evaluations of small files by the tiny model: what is read, what is kept, what goes wrong.
#include "eval/evaluation.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "data/parquet_writer.h"
#include "edit/edit_settings.h"
#include "edit/recipe.h"
#include "golden.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

constexpr size_t kCache = size_t{1} << 20;

class Evaluation : public ::testing::Test {
 protected:
  Evaluation() {
    options.edit.width = 32;
    options.edit.steps = 1;
    options.edit.max_sequence_length = 48;
    options.edit.seed = 100;
  }

  Editor& editor() {
    if (!editor_) {
      ModelRequest request;
      request.model = golden::path("tiny-fill").string();
      ResidencyOptions residency;
      residency.keep = Keep::kAll;
      editor_.emplace(ModelFiles::find(request), residency);
    }
    return *editor_;
  }

  Path file() const { return folder.path() / "data.parquet"; }
  std::vector<RowResult> run(ResultFolder* kept = nullptr) {
    return evaluate(editor(), *magicbrush_rows({file()}, kCache), options, kept);
  }
  ResultFolder kept(const std::string& name = "out") {
    EditSettings settings;
    settings.request = options.edit;
    return ResultFolder(folder.path() / name, describe_run(editor().residency()),
                        resolved(settings, ModelDefaults(), options.edit.seed), {file()});
  }
  // Pictures of different sizes, and an instruction each.
  void write_rows(const std::vector<std::string>& sources, const std::vector<std::string>& targets,
                  const std::vector<std::string>& instructions) const {
    using Cells = std::vector<std::optional<std::string>>;
    write_parquet(
        file(),
        {{"source_img", WrittenColumn::kStruct, Cells(sources.begin(), sources.end())},
         {"target_img", WrittenColumn::kStruct, Cells(targets.begin(), targets.end())},
         {"instruction", WrittenColumn::kString, Cells(instructions.begin(), instructions.end())},
         {"task", WrittenColumn::kString, Cells(sources.size(), "style_x")}});
  }

  TemporaryFolder folder;
  EvalOptions options;

 private:
  std::optional<Editor> editor_;
};

Image decoded(const std::string& png) {
  return decode_image(std::as_bytes(std::span(png)), "a picture");
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(Evaluation, EveryRowHasItsSeedAndItsPicture) {
  write_magicbrush(file(), 5);
  options.batch = 2;
  options.group = 3;
  ResultFolder out = kept();
  const auto results = run(&out);
  ASSERT_EQ(results.size(), 5u);
  for (int64_t i = 0; i < 5; ++i) {
    const RowResult& r = results[size_t(i)];
    EXPECT_EQ(r.row, i);
    EXPECT_EQ(r.seed, 100 + static_cast<uint64_t>(i));
    EXPECT_EQ(r.instruction, "edit " + std::to_string(i));
    EXPECT_EQ(r.error, "");
    const Image picture = read_image(out.picture(i));
    EXPECT_EQ(compare(picture, decoded(numbered_png(int(2 * i + 1)))).l1, r.metrics.l1);
    // As `icedit edit` makes it.
    EditRequest request = options.edit;
    request.source = decoded(numbered_png(int(2 * i)));
    request.instruction = r.instruction;
    request.seed = r.seed;
    const Image alone = editor().edit(request).front().image;
    for (size_t k = 0; k < alone.pixels.size(); ++k)
      ASSERT_NEAR(alone.pixels[k], picture.pixels[k], 1) << "row " << i << ", value " << k;
  }
  EXPECT_TRUE(fs::exists(out.path() / "sheet-01.png"));
  EXPECT_TRUE(has(read_file(out.path() / "summary.json"), "\"rows\": 5"));
}

TEST_F(Evaluation, TheBatchChangesNoPictureThoughSizesMix) {
  std::vector<std::string> sources, targets, instructions;
  for (int i = 0; i < 6; ++i) {
    sources.push_back(numbered_png(40 * i, 32, i == 2 ? 64 : 32));
    targets.push_back(numbered_png(40 * i + 9, i == 3 ? 20 : 32, 32));  // not the source's size
    instructions.push_back(i == 4 ? "a much longer text than the others have" : "edit");
  }
  write_rows(sources, targets, instructions);
  ResultFolder one = kept("one"), four = kept("four");
  const auto alone = run(&one);
  options.batch = options.group = 4;
  const auto together = run(&four);
  for (size_t i = 0; i < alone.size(); ++i) {
    EXPECT_NEAR(alone[i].metrics.l1, together[i].metrics.l1, 1e-3) << i;
    const Image a = read_image(one.picture(int64_t(i))), b = read_image(four.picture(int64_t(i)));
    ASSERT_EQ(a.pixels.size(), b.pixels.size());
    EXPECT_EQ(a.height, i == 2 ? 64 : 32);
    for (size_t k = 0; k < a.pixels.size(); ++k) ASSERT_NEAR(a.pixels[k], b.pixels[k], 1) << i;
  }
}

TEST_F(Evaluation, RowsThatCannotBeReadAreListedAndTheOthersEdited) {
  const std::string good = numbered_png(1);
  write_rows({good, "no picture", good, good, numbered_png(1, 1, 2000), good, good},
             {good, good, good, "", good, good, good}, {"a", "b", "  ", "d", "e", "f", "caf\xe9"});
  options.batch = options.group = 6;
  const auto results = [&] {
    ResultFolder out = kept();
    return run(&out);
  }();
  const Summary summary = summarise(results);
  EXPECT_EQ(summary.total.rows, 2);
  ASSERT_EQ(summary.unreadable.size(), 5u);
  EXPECT_TRUE(has(summary.unreadable[4].error, "row 6: the instruction is no valid UTF-8"));
  const char* reasons[] = {"row 1, source", "row 2: the instruction is empty", "row 3, target",
                           "row 4: a picture of 1x2000"};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(has(summary.unreadable[i].error, reasons[i])) << summary.unreadable[i].error;
    EXPECT_EQ(summary.unreadable[i].row, int64_t(i) + 1);
  }
  EXPECT_TRUE(has(summary_json(summary), "row 3, target"));
  // They are tried again by the next run, and no more than they.
  EXPECT_EQ(kept().done().size(), 2u);
}

TEST_F(Evaluation, AStoppedRunGoesOn) {
  write_magicbrush(file(), 6);
  const auto whole = run();
  options.limit = 2;
  std::optional<ResultFolder> out = kept();
  run(&*out);
  EXPECT_NE(error_of<UsageError>([&] { kept(); }).find("another process writes"),
            std::string::npos);
  const auto time = fs::last_write_time(out->picture(1));
  // The next row was under way when the process was killed, the one after it lost its picture.
  const Path lines = out->path() / "results.jsonl";
  std::ofstream(lines, std::ios::app) << R"({"row":2,"task":"","instr)";
  options.limit = 0;
  const auto open_again = [&] {
    out.reset();
    out.emplace(kept());
  };
  open_again();
  EXPECT_EQ(out->done().size(), 2u);
  EXPECT_EQ(run(&*out).size(), 6u);
  EXPECT_EQ(fs::last_write_time(out->picture(1)), time);
  fs::remove(out->picture(3));
  open_again();
  EXPECT_EQ(out->done().size(), 5u);
  const auto results = run(&*out);
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(to_json(results[i]), to_json(whole[i]));
}

TEST_F(Evaluation, EveryAndLimitChooseRows) {
  write_magicbrush(file(), 7);
  options.every = 3;
  options.limit = 2;
  const auto results = run();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[1].row, 3);
  EXPECT_EQ(results[1].seed, 103u);
}

TEST_F(Evaluation, AFolderOfAnotherRunIsRefused) {
  write_magicbrush(file(), 2);
  kept();
  const auto refused = [&] { return error_of<UsageError>([&] { kept(); }); };
  options.edit.seed = 7;
  EXPECT_TRUE(has(refused(), "seed was 100, is 7"));
  options.edit.seed = 100;
  options.edit.steps = 3;
  EXPECT_TRUE(has(refused(), "steps was 1, is 3"));
  options.edit.steps = 1;
  write_magicbrush(file(), 3);
  EXPECT_TRUE(has(refused(), "other data"));
  write_text_atomically(folder.path() / "out/run.json", "{\"settings\": 3}");
  EXPECT_TRUE(has(error_of<DataError>([&] { kept(); }), "run.json is damaged"));
  fs::remove(folder.path() / "out/run.json");
  write_text_atomically(folder.path() / "out/results.jsonl", "");
  EXPECT_TRUE(has(refused(), "no run.json"));
  fs::remove(folder.path() / "out/results.jsonl");
  for (const char* name : {"summary.json", "sheet-01.png", "pictures/00000.png"}) {
    write_text_atomically(folder.path() / "out" / name, "somebody's own");
    EXPECT_TRUE(has(refused(), "no run.json")) << name;
    EXPECT_EQ(read_file(folder.path() / "out" / name), "somebody's own");
    fs::remove(folder.path() / "out" / name);
  }
  EXPECT_EQ(kept().done().size(), 0u);
}

TEST_F(Evaluation, ADamagedLineIsNamed) {
  write_magicbrush(file(), 2);
  kept();
  write_text_atomically(folder.path() / "out/results.jsonl", "{\"row\": \"x\"}\n{}\n");
  EXPECT_TRUE(has(error_of<DataError>([&] { kept(); }), "results.jsonl, line 1"));
}

TEST_F(Evaluation, WrongData) {
  using Cells = std::vector<std::optional<std::string>>;
  write_parquet(file(), {{"source_img", WrittenColumn::kStruct, Cells{numbered_png(1)}},
                         {"instruction", WrittenColumn::kString, Cells{"a"}}});
  EXPECT_TRUE(has(error_of<DataError>([&] { run(); }), "target_img"));
  write_rows({}, {}, {});
  EXPECT_TRUE(has(error_of<DataError>([&] { run(); }), "no rows"));
  write_rows({"x", "y"}, {"x", "y"}, {"a", "b"});
  EXPECT_TRUE(has(error_of<DataError>([&] { run(); }), "none of the 2 rows can be read"));
  write_magicbrush(file(), 1);
  options.edit.width = 33;
  EXPECT_TRUE(has(error_of<UsageError>([&] { run(); }), "multiple of 16"));
}

}  // namespace
}  // namespace icedit
