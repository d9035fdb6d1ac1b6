// icedit eval as a user runs it; its figures are tested in tests/eval.
#include <nlohmann/json.hpp>

#include "e2e/program.h"

namespace icedit::e2e {
namespace {

using Json = nlohmann::json;

class Eval : public Program {
 protected:
  Eval() { copy(Path(ICEDIT_SOURCE) / "models/nano/heldout.parquet", "rows.parquet"); }
  std::vector<std::string> eval(const std::vector<std::string>& more) const {
    std::vector<std::string> all = {"eval", "--data", "rows.parquet", "--steps", "2"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_F(Eval, PrintsATableOrJson) {
  const Result table = run(eval({"--every", "100", "--limit", "3"}));
  ASSERT_EQ(table.code, 0) << table.err;
  for (const char* part : {"task", "recolor", "add", "style_sepia", "all", " / 3", "dB"})
    EXPECT_TRUE(has(table.out, part)) << part << " in\n" << table.out;
  const Result json = run(eval({"--every", "100", "--limit", "3", "--json", "-q"}));
  ASSERT_EQ(json.code, 0) << json.err;
  const Json figures = Json::parse(json.out);
  EXPECT_EQ(figures["total"]["rows"], 3);
  EXPECT_EQ(figures["tasks"].size(), 3u);
  EXPECT_GT(figures["total"]["psnr"].get<double>(), 5);
  EXPECT_EQ(files(), (std::set<std::string>{"rows.parquet"}));
}

TEST_F(Eval, KeepsEverythingAndGoesOn) {
  const Result first = run(eval({"--limit", "3", "-o", "out"}));
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(files(),
            (std::set<std::string>{"rows.parquet", "out/run.json", "out/results.jsonl",
                                   "out/summary.json", "out/sheet-01.png", "out/pictures/00000.png",
                                   "out/pictures/00001.png", "out/pictures/00002.png"}));
  const Result second = run(eval({"--limit", "5", "-o", "out", "--batch", "1"}));
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_TRUE(has(second.err, "3 of 5 rows are done")) << second.err;
  EXPECT_EQ(Json::parse(read_file(work() / "out/summary.json"))["total"]["rows"], 5);
  expect_failure(eval({"--limit", "5", "-o", "out", "--no-lora"}), 2, "other adapters");
  expect_failure(eval({"--limit", "5", "-o", "out", "--seed", "1"}), 2, "seed was 0, is 1");
}

TEST_F(Eval, KeepsTheSourcesDetailWhereAsked) {
  const auto l1 = [this](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"eval",   "--data", "rows.parquet", "--limit", "4",
                                    "--json", "-q"};
    all.insert(all.end(), more.begin(), more.end());
    const Result result = run(all);
    EXPECT_EQ(result.code, 0) << result.err;
    return Json::parse(result.out)["total"]["l1"].get<double>();
  };
  const double made = l1({});
  EXPECT_DOUBLE_EQ(l1({"--detail", "model"}), made);  // rows are of the model's size
  EXPECT_LT(l1({"--detail", "keep"}), 0.8 * made);
  expect_failure(eval({"--detail-tolerance", "2"}), 2, "add --detail keep");
}

TEST_F(Eval, RowsThatAreEditedTogetherAreWithinTheBudget) {
  const auto within = [&](const std::string& batch) {
    return eval({"--limit", "1", "--batch", batch, "--max-memory", "500M"});
  };
  expect_failure(within("64"), 2,
                 "--max-memory 500.0 MiB is too little: with nothing but one block in memory at a "
                 "time 64 edits at once, each of 9216 pixels, take about ");
  expect_failure(within("64"), 2, "; give --max-memory ");
  expect_failure(within("64"), 2, "M, or a smaller --batch or --width");
  EXPECT_EQ(run(within("2")).code, 0);
}

TEST_F(Eval, CtrlCLeavesWholeRows) {
  const pid_t child = start(eval({"-o", "out", "--batch", "1"}));
  const auto lines = [&] {
    const Path file = work() / "out/results.jsonl";
    return fs::exists(file) ? read_file(file) : "";
  };
  for (int i = 0; i < 1200 && lines().empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  kill(child, SIGINT);
  EXPECT_EQ(wait(child).code, 130);
  const std::string text = lines();
  ASSERT_TRUE(text.ends_with("\n"));
  EXPECT_FALSE(fs::exists(work() / "out/summary.json"));
  const auto done = std::count(text.begin(), text.end(), '\n');
  EXPECT_LT(done, 460);
  const Result next = run(eval({"-o", "out", "--limit", std::to_string(done + 1)}));
  ASSERT_EQ(next.code, 0) << next.err;
  EXPECT_TRUE(has(next.err, std::to_string(done) + " of ")) << next.err;
  EXPECT_TRUE(lines().starts_with(text));
}

TEST_F(Eval, WrongInput) {
  expect_failure({"eval"}, 2, "--data FILE.parquet");
  expect_failure({"eval", "rows.parquet"}, 2, "give data with --data");
  expect_failure({"eval", "--data", "none.parquet"}, 66, "there is no file or folder");
  expect_failure(eval({"--batch", "0"}), 2, "--batch is '0'");
  expect_failure(eval({"--width", "50"}), 2, "multiple of 16");
  expect_failure(eval({"--seed", "18446744073709551615"}), 2, "leaves no room");
  write("text.parquet", "no Parquet");
  expect_failure({"eval", "--data", "text.parquet"}, 1, "text.parquet");
  fs::create_directory(work() / "empty");
  expect_failure({"eval", "--data", "empty"}, 66, "no .parquet file in the folder");
}

}  // namespace
}  // namespace icedit::e2e
