#include "train/log_lines.h"

#include <gtest/gtest.h>

#include "io/temporary_folder.h"

namespace icedit {
namespace {

StepFigures figures(int64_t step) {
  StepFigures f;
  f.step = step;
  f.loss = f.running_loss = double(step);
  return f;
}

TEST(RunLog, ARunThatGoesOnTakesBackTheStepsItRepeats) {
  const TemporaryFolder folder;
  {
    RunLog log(folder.path(), "a: 1");
    for (const int64_t step : {1, 2, 3}) log.step(figures(step));
  }
  folder.write("metrics.jsonl", read_file(folder / "metrics.jsonl") + "{\"step\": 4, \"lo");
  {
    RunLog log(folder.path(), "a: 1", 2);
    StepFigures again = figures(3);
    again.d = 0.5;
    log.step(again);
  }
  const std::string lines = read_file(folder / "metrics.jsonl");
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 3);
  EXPECT_TRUE(lines.starts_with("{\"step\":1,"));
  EXPECT_NE(lines.find("{\"step\":2,"), std::string::npos);
  EXPECT_NE(lines.find("\"d\":0.5"), std::string::npos);
}

}  // namespace
}  // namespace icedit
