// The use of a mixture's experts, and the balance loss in training.
#include "train/expert_use.h"

#include "tiny_session.h"
#include "train/log_lines.h"

namespace icedit {
namespace {

TrainConfig mixture(const std::vector<std::string>& more) {
  std::vector<std::string> all = {"train.mode=moe_lora", "train.lora_config.num_experts=3",
                                  "train.lora_config.expert_rank=2",
                                  "train.accumulate_grad_batches=2"};
  all.insert(all.end(), more.begin(), more.end());
  return tiny_config(all);
}

struct Steps {
  std::vector<StepFigures> figures;
  NamedTensors parameters;
};

Steps steps(const TrainConfig& config, int count) {
  Session session(config);
  Steps steps;
  for (int i = 0; i < count; ++i) steps.figures.push_back(session.trainer.step());
  steps.parameters = copies(session.trainer.parameters());
  return steps;
}

TEST(ExpertUse, EveryPickOfEveryMicroBatchIsCountedOnce) {
  for (const int top_k : {1, 2}) {
    const std::string k = str("train.lora_config.top_k=", top_k);
    const Steps kept = steps(mixture({k}), 2);
    const Steps recomputed = steps(mixture({k, "train.gradient_checkpointing=true"}), 2);
    for (size_t s = 0; s < 2; ++s) {
      const ExpertUse& use = kept.figures[s].experts;
      ASSERT_EQ(use.layers.size(), 6u);
      for (size_t i = 0; i < use.layers.size(); ++i) {
        const bool is_single = use.layers[i].starts_with("single_");
        // 64 x 128 pixels in tokens of 16; 32 of text; a batch of 2, twice.
        const double picks = (32 + (is_single ? 32 : 0)) * 2 * 2 * top_k;
        double sum = 0, shares = 0;
        for (const double count : use.tokens[i]) sum += count;
        for (const double share : use.shares(i)) shares += share;
        EXPECT_EQ(sum, picks) << use.layers[i];
        EXPECT_NEAR(shares, 1, 1e-12);
      }
      EXPECT_GE(use.balance(), 0.9);
      EXPECT_LE(use.balance(), 3);
      EXPECT_EQ(use.tokens, recomputed.figures[s].experts.tokens);
      EXPECT_EQ(use.balance(), recomputed.figures[s].experts.balance());
    }
  }
}

TEST(ExpertUse, TheBalanceLossTrainsRoutersAndIsTheSameRecomputed) {
  const std::string weight = "train.lora_config.balance_loss=1";
  const Steps none = steps(mixture({}), 30), kept = steps(mixture({weight}), 30),
              recomputed = steps(mixture({weight, "train.gradient_checkpointing=true"}), 30);
  expect_equal(recomputed.parameters, kept.parameters);
  const Steps fresh = steps(mixture({weight}), 0);
  for (size_t i = 0; i < fresh.parameters.size(); ++i) {
    const auto& [name, start] = fresh.parameters[i];
    if (!name.ends_with("lora_route.weight")) continue;
    EXPECT_FALSE(golden::equal(kept.parameters[i].second, start)) << name;
    // With one pick the loss alone has no gradient for the router: only weight decay moves it.
    const Tensor ratio = none.parameters[i].second / start;
    EXPECT_TRUE(golden::close(ratio, at::ones_like(ratio), 1e-2)) << name;
  }
  EXPECT_LT(kept.figures.back().experts.balance(), none.figures.back().experts.balance());
  // It counts in no figure of the loss.
  EXPECT_EQ(kept.figures[0].loss, none.figures[0].loss);
}

TEST(ExpertUse, IsSaidInShort) {
  StepFigures figures;
  figures.running_loss = 0.5;
  EXPECT_EQ(progress_note(figures).find("experts"), std::string::npos);
  figures.experts.layers = {"a", "b"};
  figures.experts.tokens = {{1, 3}, {5, 5}};
  EXPECT_NE(progress_note(figures).find("experts 25-75 %"), std::string::npos)
      << progress_note(figures);
}

}  // namespace
}  // namespace icedit
