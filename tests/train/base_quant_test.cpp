// Training on a frozen base whose matrices are whole numbers.
#include <ATen/core/grad_mode.h>

#include "base/process.h"
#include "tiny_session.h"
#include "train/resume_check.h"

namespace icedit {
namespace {

constexpr const char *kInt8 = "train.base_quant=int8", *kInt4 = "train.base_quant=int4";

// Of one step, all in one row. B is zero at first, so that A's would be.
Tensor gradients(const TrainConfig& config) {
  Session session(config);
  for (const auto& [name, parameter] : session.trainer.parameters()) {
    const at::NoGradGuard guard;
    if (name.find("lora_B") != std::string::npos) parameter.fill_(0.02);
  }
  session.trainer.step();
  Tensors all;
  for (const auto& [name, parameter] : session.trainer.parameters())
    all.push_back(parameter.grad().flatten());
  return at::cat(all);
}

double distance(const Tensor& got, const Tensor& want) {
  return ((got - want).norm() / want.norm()).item<double>();
}

TEST(BaseQuant, GradientsAreNearThoseOfTheExactBase) {
  const std::string unclipped = "train.gradient_clip_val=0";
  const Tensor exact = gradients(tiny_config({unclipped}));
  const Tensor eight = gradients(tiny_config({unclipped, kInt8}));
  const Tensor four = gradients(tiny_config({unclipped, kInt4}));
  EXPECT_GT(distance(eight, exact), 1e-4);
  EXPECT_LT(distance(eight, exact), 0.03);
  EXPECT_GT(distance(four, exact), distance(eight, exact));
  EXPECT_LT(distance(four, exact), 0.3);
}

TEST(BaseQuant, RecomputingGivesTheSameBits) {
  const Tensor kept = gradients(tiny_config({kInt8}));
  const Tensor again = gradients(tiny_config({kInt8, "train.gradient_checkpointing=true"}));
  EXPECT_TRUE(golden::equal(again, kept));
}

TEST(BaseQuant, TrainingLearnsAsOnTheExactBase) {
  const auto gain = [](const std::vector<std::string>& overrides) {
    TrainConfig config = tiny_config(overrides);
    config.max_steps = -1;
    Session session(config);
    constexpr int kSteps = 30, kMean = 10;
    double first = 0, last = 0;
    for (int i = 0; i < kSteps; ++i) {
      const double loss = session.trainer.step().loss;
      if (i < kMean) first += loss;
      if (i >= kSteps - kMean) last += loss;
    }
    return first / last;
  };
  const std::string fast = "train.optimizer.params.lr=2.0e-2";
  const double exact = gain({fast});
  EXPECT_GT(exact, 1.02);
  EXPECT_GT(gain({fast, kInt8}), 1.0 + 0.8 * (exact - 1.0));
}

TEST(BaseQuant, ARunGoesOnOnTheBaseItHad) {
  LoadedCheckpoint checkpoint{"run/step-3", {}};
  checkpoint.state.settings = computing_settings(tiny_config({kInt8}));
  expect_resumable(checkpoint, tiny_config({kInt8}), {}, 1);
  const auto error = [&](const std::vector<std::string>& now) {
    return error_of<UsageError>([&] { expect_resumable(checkpoint, tiny_config(now), {}, 1); });
  };
  EXPECT_NE(error({}).find("train.base_quant was int8 and is none"), std::string::npos);
  // Runs of programs that did not know it were on the exact base.
  checkpoint.state.settings.erase("train.base_quant");
  expect_resumable(checkpoint, tiny_config(), {}, 1);
  EXPECT_NE(error({kInt4}).find("train.base_quant was not set and is int4"), std::string::npos);
}

TEST(BaseQuant, WhereItCannotBeIsSaid) {
  const auto error = [](const std::vector<std::string>& overrides) {
    return error_of<UsageError>([&] { tiny_config(overrides); });
  };
  EXPECT_NE(error({kInt8, "train.mode=full"}).find("train.base_quant is of frozen weights"),
            std::string::npos);
  EXPECT_NE(error({"train.base_quant=int3"}).find("none, int8 or int4"), std::string::npos);
}

}  // namespace
}  // namespace icedit
