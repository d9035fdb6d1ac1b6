// Training on the pretend device, against the same steps on the CPU.
#include <ATen/core/grad_mode.h>

#include <limits>

#include "device/pretend_device.h"
#include "train/previews.h"
#include "train/tiny_session.h"

namespace icedit {
namespace {

using pretend::device;

struct Trained {
  NamedTensors parameters;
  std::vector<StepFigures> steps;
};

Trained trained(const TrainConfig& config, at::Device where, int steps = 3) {
  Session session(config, nullptr, nullptr, where);
  Trained made;
  for (int i = 0; i < steps; ++i) made.steps.push_back(session.trainer.step());
  for (const auto& [name, parameter] : session.trainer.parameters()) {
    EXPECT_EQ(parameter.device(), where) << name;
    made.parameters.emplace_back(name, parameter.detach().clone());
  }
  return made;
}

// Gradients near 0 decide Adam's first steps, so that single numbers may differ by some rates.
void expect_alike(const Trained& got, const Trained& want, double loss, double parameters) {
  for (size_t i = 0; i < want.steps.size(); ++i) {
    EXPECT_NEAR(got.steps[i].loss, want.steps[i].loss, loss * want.steps[i].loss) << i;
    EXPECT_NEAR(got.steps[i].gradient.total, want.steps[i].gradient.total,
                50 * loss * want.steps[i].gradient.total);
  }
  ASSERT_EQ(got.parameters.size(), want.parameters.size());
  for (size_t i = 0; i < want.parameters.size(); ++i) {
    const Tensor there = got.parameters[i].second.cpu(), here = want.parameters[i].second;
    EXPECT_LE((there - here).norm().item<double>(),
              parameters * (1e-3 + here.norm().item<double>()))
        << want.parameters[i].first;
  }
}

void expect_as_on_the_cpu(const std::vector<std::string>& overrides, double loss = 1e-5,
                          double parameters = 1e-3) {
  const TrainConfig config = tiny_config(overrides);
  expect_alike(trained(config, device()), trained(config, at::kCPU), loss, parameters);
}

TEST(TrainOnDevice, ALora) {
  expect_as_on_the_cpu({});
}

TEST(TrainOnDevice, RecomputingAndAccumulating) {
  expect_as_on_the_cpu({"train.gradient_checkpointing=true", "train.accumulate_grad_batches=2",
                        "train.batch_size=1"});
}

TEST(TrainOnDevice, WithProdigyAndAverages) {
  expect_as_on_the_cpu({"train.optimizer.type=Prodigy",
                        "train.optimizer.params={lr: 1, d0: 1.0e-3}", "train.ema_decay=0.9"});
}

TEST(TrainOnDevice, WithSgd) {
  expect_as_on_the_cpu({"train.optimizer.type=SGD", "train.optimizer.params={lr: 1.0e-2}"});
}

TEST(TrainOnDevice, InBf16WithAdaptersInF32) {
  expect_as_on_the_cpu(
      {"dtype=bfloat16", "train.optimizer.type=SGD", "train.optimizer.params={lr: 1.0e-1}"}, 2e-2,
      5e-2);
}

TEST(TrainOnDevice, AMixtureOfExperts) {
  const std::vector<std::string> moe = {"train.mode=moe_lora",
                                        "train.lora_config.num_experts=4",
                                        "train.lora_config.top_k=2",
                                        "train.lora_config.expert_rank=2",
                                        "train.lora_config.expert_modules=[ff.net.2]",
                                        "train.lora_config.balance_loss=0.01"};
  expect_as_on_the_cpu(moe);
}

TEST(TrainOnDevice, AllWeights) {
  expect_as_on_the_cpu({"train.mode=full"});
}

// A loss of the tokens that change looks at where they are.
TEST(TrainOnDevice, LossesOfSomeTokens) {
  for (const char* tokens : {"right_half", "changed"})
    expect_as_on_the_cpu({str("train.loss=", tokens)});
}

TEST(TrainOnDevice, EncodingsAreCachedInTheHostsMemoryAndOnDisk) {
  const TemporaryFolder folder;
  const TrainConfig plain = tiny_config();
  const Trained want = trained(plain, device());
  const std::string on_disk = "train.cache_dir=" + (folder / "cache").string();
  for (const auto& overrides :
       {std::vector<std::string>{"train.cache=true"}, {on_disk}, {on_disk}}) {
    const Trained got = trained(tiny_config(overrides), device());
    for (size_t i = 0; i < want.parameters.size(); ++i)
      EXPECT_TRUE(golden::equal(got.parameters[i].second, want.parameters[i].second));
  }
}

TEST(TrainOnDevice, GoesOnFromACheckpointBitForBit) {
  const TrainConfig config = tiny_config({"train.ema_decay=0.9"});
  const TemporaryFolder folder;
  Session whole(config, nullptr, nullptr, device());
  whole.trainer.step();
  save_checkpoint(folder.path(), whole.trainer.state(), 0);
  whole.trainer.step();
  const LoadedCheckpoint from = load_checkpoint(folder.path());
  Session second(config, nullptr, &from, device());
  second.trainer.step();
  expect_equal(second.trainer.parameters(), whole.trainer.parameters());
}

TEST(TrainOnDevice, ShowsSamplePictures) {
  const auto samples = [](at::Device where) {
    const TrainConfig config = tiny_config({"train.sample_interval=1", "train.sample_pairs=2",
                                            "train.sample_steps=2", "train.ema_decay=0.5"});
    Session session(config, nullptr, nullptr, where);
    return Previews(session.config, session.dataset).make(session.trainer, [] {});
  };
  const Image want = samples(at::kCPU), got = samples(device());
  ASSERT_EQ(got.pixels.size(), want.pixels.size());
  for (size_t i = 0; i < want.pixels.size(); ++i)
    ASSERT_LE(std::abs(int(got.pixels[i]) - int(want.pixels[i])), 1);
}

TEST(TrainOnDevice, AStepThatIsNotFiniteIsSkippedAndNamed) {
  Session session(tiny_config(), nullptr, nullptr, device());
  {
    const at::NoGradGuard no_grad;
    session.trainer.parameters().front().second.fill_(std::numeric_limits<float>::quiet_NaN());
  }
  EXPECT_FALSE(session.trainer.step().bad.empty());
  EXPECT_FALSE(session.trainer.is_finite());
}

}  // namespace
}  // namespace icedit
