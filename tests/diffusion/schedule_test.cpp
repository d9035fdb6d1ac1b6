#include "diffusion/schedule.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "diffusion/flow.h"
#include "golden.h"

namespace icedit {
namespace {

constexpr double kAbsolute = 2e-7;  // the README's, for sigmas

SchedulerConfig tiny() {
  return SchedulerConfig::from(JsonFile(golden::path("tiny-fill/scheduler/scheduler_config.json")));
}

double largest_difference(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>();
}

TEST(Schedule, SigmasTimestepsAndMu) {
  const auto golden = golden::load("scheduler/scheduler.safetensors");
  const JsonFile info(golden::path("scheduler/scheduler.json"));
  ASSERT_GE(info.keys().size(), 5u);
  for (const std::string& name : info.keys()) {
    const JsonFile one = info.object(name);
    const int64_t tokens = one.integer("image_seq_len");
    EXPECT_DOUBLE_EQ(shift_mu(tiny(), tokens), one.number("mu")) << name;
    const Schedule schedule = make_schedule(tiny(), one.integer("steps"), tokens);
    EXPECT_LE(largest_difference(schedule.sigmas, golden::get(golden, name + ".sigmas")), kAbsolute)
        << name;
    EXPECT_LE(largest_difference(schedule.timesteps, golden::get(golden, name + ".timesteps")),
              1000 * kAbsolute)
        << name;
  }
}

TEST(Schedule, EulerSteps) {
  const auto golden = golden::load("scheduler/scheduler.safetensors");
  int steps = 0;
  for (const auto& [name, output] : golden) {
    const auto at = name.find(".step.model_output.");
    if (at == std::string::npos) continue;
    const std::string run = name.substr(0, at);
    const int i = std::stoi(name.substr(name.rfind('.') + 1));
    const Tensor sigmas = golden::get(golden, run + ".sigmas");
    const Tensor got = euler_step(golden::get(golden, str(run, ".step.sample.", i)), output,
                                  sigmas[i], sigmas[i + 1]);
    EXPECT_LE(largest_difference(got, golden::get(golden, str(run, ".step.sample.", i + 1))),
              kAbsolute)
        << name;
    ++steps;
  }
  EXPECT_GE(steps, 15);
}

TEST(Schedule, EulerStepInBf16) {
  const auto golden = golden::load("scheduler/scheduler.safetensors");
  int found = 0;
  for (const auto& [name, want] : golden) {
    const auto at = name.find(".bf16.sample.1");
    if (at == std::string::npos) continue;
    const std::string run = name.substr(0, at);
    const Tensor sigmas = golden::get(golden, run + ".sigmas");
    const Tensor got = euler_step(
        golden::get(golden, run + ".step.sample.0").to(at::kBFloat16),
        golden::get(golden, run + ".step.model_output.0").to(at::kBFloat16), sigmas[0], sigmas[1]);
    EXPECT_TRUE(at::equal(got, want)) << name;
    ++found;
  }
  EXPECT_EQ(found, 1);
}

TEST(Schedule, WithoutDynamicShift) {
  const SchedulerConfig c = SchedulerConfig::from(JsonFile::parse(R"({"shift": 3.0})", "x.json"));
  const Schedule schedule = make_schedule(c, 2, 1000);
  EXPECT_NEAR(schedule.sigmas[1].item<double>(), 3 * 0.5 / (1 + 2 * 0.5), kAbsolute);
}

TEST(Schedule, SettingsThatWouldChangeTheSigmasAreRefused) {
  for (const char* text : {R"({"use_karras_sigmas": true})", R"({"shift_terminal": 0.1})",
                           R"({"time_shift_type": "linear"})", R"({"base_image_seq_len": 4096})"}) {
    EXPECT_THROW(SchedulerConfig::from(JsonFile::parse(text, "x.json")), CheckpointError) << text;
  }
  EXPECT_THROW(make_schedule(tiny(), 0, 32), UsageError);
}

}  // namespace
}  // namespace icedit
