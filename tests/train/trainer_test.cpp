// Whole steps on the tiny model: ranks, resuming, caches, steps that go wrong.
#include "train/trainer.h"

#include <ATen/core/grad_mode.h>

#include <barrier>
#include <limits>
#include <thread>

#include "tiny_session.h"

namespace icedit {
namespace {

// Two threads that play ranks.
class ThreadGroup : public Group {
 public:
  struct Meeting {
    std::barrier<> together{2};
    Tensor values[2];
  };
  ThreadGroup(int rank, Meeting& meeting) : Group(rank, 2), meeting_(meeting) {}
  void all_reduce(const Tensor& tensor) override {
    meeting_.values[rank()] = tensor.clone();
    barrier();
    Tensor(tensor).copy_(meeting_.values[0] + meeting_.values[1]);
    barrier();
  }
  void broadcast(const Tensor& tensor, int root) override {
    if (rank() == root) meeting_.values[root] = tensor.clone();
    barrier();
    Tensor(tensor).copy_(meeting_.values[root]);
    barrier();
  }

 private:
  void barrier() { meeting_.together.arrive_and_wait(); }
  Meeting& meeting_;
};

TEST(Trainer, AStepChangesWhatIsTrainedAndSaysItsFigures) {
  Session session(tiny_config());
  const NamedTensors before = copies(session.trainer.parameters());
  const StepFigures first = session.trainer.step(), second = session.trainer.step();
  EXPECT_EQ(second.step, 2);
  EXPECT_TRUE(first.bad.empty());
  EXPECT_GT(first.loss, 0);
  EXPECT_EQ(first.running_loss, first.loss);
  EXPECT_DOUBLE_EQ(second.running_loss, 0.95 * first.loss + 0.05 * second.loss);
  EXPECT_GT(second.gradient.max, second.gradient.mean);
  EXPECT_EQ(second.lr, 1e-3);
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_FALSE(before[i].second.equal(session.trainer.parameters()[i].second)) << before[i].first;
}

TEST(Trainer, TwoRanksAreOneWithAccumulation) {
  const auto gradients = [](const TrainConfig& config, Group* group) {
    Session session(config, group);
    session.trainer.step();
    NamedTensors grads;
    for (const auto& [name, p] : session.trainer.parameters()) grads.emplace_back(name, p.grad());
    return grads;
  };
  const std::string one = "train.batch_size=1", unclipped = "train.gradient_clip_val=0";
  const NamedTensors want =
      gradients(tiny_config({one, unclipped, "train.accumulate_grad_batches=2"}), nullptr);
  ThreadGroup::Meeting meeting;
  NamedTensors got[2];
  {
    std::vector<std::jthread> ranks;
    for (int rank = 0; rank < 2; ++rank) {
      ranks.emplace_back([&, rank] {
        ThreadGroup group(rank, meeting);
        got[rank] = gradients(tiny_config({one, unclipped}), &group);
      });
    }
  }
  ASSERT_EQ(got[0].size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    if (!want[i].second.any().item<bool>()) continue;  // A's, as long as B is zero
    for (const auto& grads : got)
      EXPECT_TRUE(golden::close(grads[i].second, want[i].second, 1e-6)) << want[i].first;
  }
}

TEST(Trainer, RanksWithOtherRowsAreAnErrorOnBoth) {
  ThreadGroup::Meeting meeting;
  std::string errors[2];
  {
    std::vector<std::jthread> ranks;
    for (int rank = 0; rank < 2; ++rank) {
      ranks.emplace_back([&, rank] {
        ThreadGroup group(rank, meeting);
        const std::string other = (Path(ICEDIT_SOURCE) / "models/nano/heldout.parquet").string();
        const TrainConfig config = tiny_config(
            rank == 0 ? std::vector<std::string>{} : std::vector{"train.dataset.path=" + other});
        errors[rank] = error_of<UsageError>([&] { Session(config, &group); });
      });
    }
  }
  for (const std::string& error : errors) {
    EXPECT_NE(error.find("the data of rank [1] differs from rank 0's: rank 0 has '"),
              std::string::npos)
        << error;
    EXPECT_NE(error.find(" pairs', rank 1 has '460 pairs'"), std::string::npos) << error;
  }
}

TEST(Trainer, GoesOnBitForBit) {
  for (const std::string draws : {"keyed", "reference"}) {
    const TrainConfig config =
        tiny_config({"train.draws=" + draws, "train.optimizer.type=Prodigy",
                     "train.optimizer.params={lr: 1, d0: 1.0e-3}", "train.ema_decay=0.9",
                     "train.lr_schedule=cosine", "train.warmup_steps=1"});
    const TemporaryFolder folder;
    NamedTensors want, want_ema;
    {
      Session whole(config);
      for (int i = 0; i < 3; ++i) whole.trainer.step();
      save_checkpoint(folder.path(), whole.trainer.state(), 0);
      for (int i = 0; i < 3; ++i) whole.trainer.step();
      want = copies(whole.trainer.parameters());
      want_ema = copies(whole.trainer.state().ema);
    }
    const LoadedCheckpoint checkpoint = load_checkpoint(folder.path());
    Session resumed(config, nullptr, &checkpoint);
    EXPECT_EQ(resumed.trainer.steps(), 3);
    for (int i = 0; i < 3; ++i) resumed.trainer.step();
    expect_equal(resumed.trainer.parameters(), want);
    expect_equal(resumed.trainer.state().ema, want_ema);
  }
}

TEST(Trainer, AResumeWithOtherSettingsIsAnError) {
  const TemporaryFolder folder;
  Session first(tiny_config());
  first.trainer.step();
  save_checkpoint(folder.path(), first.trainer.state(), 0);
  const LoadedCheckpoint checkpoint = load_checkpoint(folder.path());
  EXPECT_THROW(Session(tiny_config({"train.lora_config.r=2"}), nullptr, &checkpoint), UsageError);
  Session(tiny_config({"train.max_steps=99", "train.save_interval=1"}), nullptr, &checkpoint);
}

TEST(Trainer, TheCacheAndRecomputingChangeNothing) {
  const NamedTensors want = after(tiny_config(), 6);  // more than an epoch
  expect_equal(after(tiny_config({"train.cache=true"}), 6), want);
  const std::string recompute = "train.gradient_checkpointing=true";
  expect_equal(after(tiny_config({recompute}), 6), want);
  for (const std::vector<std::string>& other :
       {std::vector<std::string>{"dtype=bfloat16"},
        {"train.mode=moe_lora", "train.lora_config.num_experts=3", "train.lora_config.top_k=2"}}) {
    std::vector<std::string> with = other;
    with.push_back(recompute);
    expect_equal(after(tiny_config(with), 3), after(tiny_config(other), 3));
  }
  expect_equal(after(tiny_config({"train.dataloader_workers=2"}), 6), want);
}

TEST(Trainer, AStepThatIsNotFiniteIsSkippedAndNamed) {
  Session session(tiny_config({"train.max_bad_steps=2"}));
  session.trainer.step();
  EXPECT_TRUE(session.trainer.is_finite());
  for (const auto& [name, tensor] : session.trainer.parameters()) {
    if (name != "transformer.transformer_blocks.1.attn.to_q.lora_A.weight") continue;
    const at::NoGradGuard no_grad;
    Tensor(tensor).fill_(std::numeric_limits<float>::quiet_NaN());
  }
  const NamedTensors before = copies(session.trainer.parameters());
  EXPECT_FALSE(session.trainer.is_finite());
  const StepFigures figures = session.trainer.step();
  EXPECT_EQ(figures.step, 2);
  EXPECT_NE(figures.bad.find("transformer_blocks.1.attn"), std::string::npos) << figures.bad;
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(golden::equal(session.trainer.parameters()[i].second, before[i].second));
  EXPECT_THROW(session.trainer.step(), DataError);
}

TEST(Trainer, AMixtureAndAllWeightsCanBeTrained) {
  Session mixture(tiny_config({"train.mode=moe_lora", "train.lora_config.num_experts=2",
                               "train.lora_config.expert_rank=2"}));
  mixture.trainer.step();
  EXPECT_TRUE(mixture.trainer.state().adapter.has_router());

  const TrainConfig config = tiny_config({"train.mode=full", "train.optimizer.params.lr=1.0e-4"});
  const TemporaryFolder folder;
  Session all(config);
  EXPECT_EQ(all.trainer.parameters().size(), 126u);  // every tensor of the checkpoint
  all.trainer.step();
  save_checkpoint(folder.path(), all.trainer.state(), 0);
  all.trainer.step();
  const LoadedCheckpoint checkpoint = load_checkpoint(folder.path());
  Session resumed(config, nullptr, &checkpoint);
  resumed.trainer.step();
  expect_equal(resumed.trainer.parameters(), copies(all.trainer.parameters()));
}

TEST(Trainer, TheFluxShiftIsTheModelsOwn) {
  const TemporaryFolder folder;
  const auto first_t = [&folder](const std::string& model) {
    Session session(tiny_config({"train.timestep_sampling=flux_shift", "flux_path=" + model}));
    StepTrace trace(folder / "trace.safetensors");
    session.trainer.trace_into(&trace);
    session.trainer.step();
    trace.write();
    for (const auto& [name, tensor] : load_tensors(folder / "trace.safetensors"))
      if (name == "0.0.t") return tensor[0].item<double>();
    return -1.0;
  };
  const std::string model = (folder / "model").string();
  std::filesystem::copy(golden::path("tiny-fill"), model, std::filesystem::copy_options::recursive);
  folder.write("model/scheduler/scheduler_config.json",
               R"({"use_dynamic_shifting": false, "shift": 1.0})");
  const double plain = first_t(model);  // not shifted at all
  folder.write("model/scheduler/scheduler_config.json",
               R"({"use_dynamic_shifting": false, "shift": 4.0})");
  EXPECT_NEAR(first_t(model), 4 * plain / (1 + 3 * plain), 1e-6);
  EXPECT_GT(first_t(golden::path("tiny-fill").string()), plain);
}

TEST(Trainer, TheTraceHoldsTheStep) {
  const TemporaryFolder folder;
  Session session(tiny_config({"train.accumulate_grad_batches=2"}));
  StepTrace trace(folder / "trace.safetensors");
  session.trainer.trace_into(&trace);
  session.trainer.step();
  trace.write();
  golden::Tensors tensors;
  for (const auto& [name, tensor] : load_tensors(folder / "trace.safetensors"))
    tensors.emplace(name, tensor);
  for (const char* micro : {"0.0.", "0.1."}) {
    const auto get = [&](const char* name) { return golden::get(tensors, str(micro, name)); };
    const Tensor t = get("t").reshape({-1, 1, 1});
    EXPECT_TRUE(golden::close(get("x_t"), (1 - t) * get("x_0") + t * get("x_1"), 1e-6));
    const Tensor loss = (get("pred") - (get("x_1") - get("x_0"))).square().mean();
    EXPECT_TRUE(golden::close(get("loss"), loss, 1e-5));
  }
  size_t gradients = 0, starts = 0;
  for (const auto& [name, tensor] : tensors) {
    gradients += name.starts_with("0.grad.transformer.");
    starts += name.starts_with("start.transformer.");
  }
  EXPECT_EQ(gradients, session.trainer.parameters().size());
  EXPECT_EQ(starts, session.trainer.parameters().size());
}

}  // namespace
}  // namespace icedit
