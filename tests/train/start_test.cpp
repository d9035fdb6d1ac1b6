// What a run starts from, and what stops it before its first step: adapters to go on from, memory.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "golden.h"
#include "io/temporary_folder.h"
#include "models/flux/names.h"
#include "train/adapter_setup.h"
#include "train/memory.h"

namespace icedit {
namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The published targets, which match the goldens' LoRA.
const char* const kTargets =
    R"((.*x_embedder|.*(?<!single_)transformer_blocks\.[0-9]+\.(norm1\.linear|attn\.(to_k|to_q|to_v|to_out\.0)|ff\.net\.2)|.*single_transformer_blocks\.[0-9]+\.(norm\.linear|proj_mlp|proj_out|attn.(to_k|to_q|to_v|to_out))))";

TrainConfig config_from(const Path& lora, const std::vector<std::string>& overrides = {}) {
  const std::string yaml =
      str("flux_path: ", golden::path("tiny-fill").string(),
          "\ndtype: float32\ntrain:\n  init_lora: ", lora.string(),
          "\n  dataset: {type: edit, path: ", golden::path("dataset/magicbrush.parquet").string(),
          ", condition_size: 64, target_size: 64}\n  lora_config: {r: 4, lora_alpha: 4, "
          "target_modules: '",
          kTargets, "'}\n");
  return parse_config(yaml, "test.yaml", overrides);
}

FluxTransformer tiny() {
  const Path folder = golden::path("tiny-fill/transformer");
  return FluxTransformer::load(Checkpoint::open(folder), JsonFile(folder / "config.json"), {});
}

Path golden_lora(const std::string& name) {
  return golden::path("lora/" + name + "/pytorch_lora_weights.safetensors");
}

Trainable trainable_of(const TrainConfig& config) {
  FluxTransformer model = tiny();
  return make_trainable(model, config, init_lora(shapes_of(model.linears()), config));
}

template <class E>
std::string error_from(const TrainConfig& config) {
  return error_of<E>([&] { trainable_of(config); });
}

TEST(InitLora, TheRunStartsWithItsWeights) {
  const Trainable trainable = trainable_of(config_from(golden_lora("alpha4")));
  const auto want = load_tensors(golden_lora("alpha4"));
  ASSERT_EQ(trainable.parameters.size(), want.size());
  const golden::Tensors by_name(want.begin(), want.end());
  for (const auto& [name, tensor] : trainable.parameters) {
    EXPECT_TRUE(golden::equal(tensor.detach(), golden::get(by_name, name))) << name;
    EXPECT_TRUE(tensor.requires_grad()) << name;
  }
}

TEST(InitLora, WithoutTargetsTheFileNamesThem) {
  const TrainConfig config = config_from(
      golden_lora("second"), {"train.lora_config.target_modules=null", "train.lora_config.r=2",
                              "train.lora_config.lora_alpha=2"});
  const Trainable trainable = trainable_of(config);
  EXPECT_EQ(trainable.parameters.size(), load_tensors(golden_lora("second")).size());
}

TEST(InitLora, OtherTargetsAreErrors) {
  const std::string fewer = error_from<UsageError>(config_from(golden_lora("second")));
  EXPECT_TRUE(has(fewer, "has no layer for '") && has(fewer, "leave target_modules out")) << fewer;
  const std::string more = error_from<UsageError>(
      config_from(golden_lora("alpha4"), {"train.lora_config.target_modules=[to_q]"}));
  EXPECT_TRUE(has(more, "has a layer for '") && has(more, "do not match")) << more;
}

TEST(InitLora, OtherRanksAndAlphasAreErrors) {
  const auto error = [](const std::string& setting) {
    return error_from<UsageError>(config_from(golden_lora("alpha4"), {setting}));
  };
  EXPECT_TRUE(has(error("train.lora_config.r=8"), "has r 4, but train.lora_config.r is 8"));
  EXPECT_TRUE(has(error("train.lora_config.lora_alpha=8"), "set it to 4"));
}

TEST(InitLora, OfAnotherModelOrMode) {
  const Path nano = Path(ICEDIT_SOURCE) / "models/nano/lora/pytorch_lora_weights.safetensors";
  const std::string other = error_from<CheckpointError>(config_from(nano));
  EXPECT_TRUE(has(other, "Was it made for another model?")) << other;
  EXPECT_FALSE(has(other, "--lora-allow-partial")) << other;  // no option of icedit train
  EXPECT_TRUE(
      has(error_from<UsageError>(config_from(golden_lora("alpha4"), {"train.mode=moe_lora"})),
          "is a plain LoRA; set train.mode to lora"));
  EXPECT_TRUE(
      has(error_from<UsageError>(config_from(golden::path("moe/pytorch_lora_weights.safetensors"))),
          "is a mixture of experts; set train.mode to moe_lora"));
  EXPECT_TRUE(has(error_from<ModelUnavailable>(config_from("nowhere.safetensors")), "nowhere"));
}

TEST(InitLora, AMixture) {
  const Path file = golden::path("moe/pytorch_lora_weights.safetensors");
  const AdapterFile adapter = AdapterFile::open(file);
  const auto find = [&](bool router) {
    return *std::find_if(adapter.modules.begin(), adapter.modules.end(),
                         [&](const auto& module) { return module.has_router() == router; });
  };
  const AdapterModule moe = find(true), plain = find(false);
  const auto set = [](const char* key, auto value) {
    return str("train.lora_config.", key, "=", value);
  };
  std::vector<std::string> settings = {"train.mode=moe_lora",
                                       set("r", plain.rank()),
                                       set("lora_alpha", plain.alpha),
                                       set("num_experts", moe.a.size()),
                                       set("expert_rank", moe.a[0].size(0)),
                                       set("expert_alpha", moe.alpha)};
  const Trainable trainable = trainable_of(config_from(file, settings));
  EXPECT_EQ(trainable.parameters.size(), load_tensors(file).size());
  settings.push_back(set("num_experts", moe.a.size() + 1));
  EXPECT_TRUE(has(error_from<UsageError>(config_from(file, settings)), "num_experts"));
}

Residency residency_of(const TrainConfig& config) {
  ModelRequest request;
  request.model = config.flux_path;
  ResidencyOptions options;
  options.dtype = DtypeChoice::kF32;
  return {ModelFiles::find(request), options};
}

TEST(TrainingMemory, KnowsAQuantisedBase) {
  const auto weights = [](const std::string& quant) {
    const TrainConfig config = config_from("", {"train.base_quant=" + quant});
    return estimate_training(config, residency_of(config)).weights;
  };
  uint64_t matrices = 0;  // elements
  const Checkpoint transformer = Checkpoint::open(golden::path("tiny-fill/transformer"));
  for (const auto& [name, entry] : transformer.entries())
    matrices += entry.info.shape.size() == 2 && may_be_quantised(name) ? entry.info.numel() : 0;
  ASSERT_GT(matrices, 10000u);
  EXPECT_EQ(weights("none") - weights("int8"), matrices * 3);
  EXPECT_EQ(weights("none") - weights("int4"), matrices * 4 - matrices * 9 / 16);
}

TEST(TrainingMemory, CountsWhatIsTrained) {
  const auto of = [](const std::vector<std::string>& overrides) {
    const TrainConfig config = config_from("", overrides);
    return estimate_training(config, residency_of(config));
  };
  const TrainingMemory lora = of({});
  int64_t parameters = 0;
  for (const auto& [name, tensor] : trainable_of(config_from("")).parameters)
    parameters += tensor.numel();
  EXPECT_EQ(lora.parameters, parameters);
  EXPECT_EQ(lora.trained, uint64_t(parameters) * 4 * 6);  // itself, gradient, Prodigy's four
  EXPECT_GT(lora.weights, 0u);
  EXPECT_EQ(of({"train.optimizer.type=AdamW"}).trained, uint64_t(parameters) * 4 * 4);
  EXPECT_EQ(of({"train.ema_decay=0.9"}).trained, uint64_t(parameters) * 4 * 7);

  const std::vector<std::string> experts = {
      "train.mode=moe_lora", "train.lora_config.num_experts=2", "train.lora_config.expert_rank=3"};
  parameters = 0;
  for (const auto& [name, tensor] : trainable_of(config_from("", experts)).parameters)
    parameters += tensor.numel();
  EXPECT_EQ(of(experts).parameters, parameters);
  EXPECT_GT(of({"train.mode=full"}).parameters, parameters);

  EXPECT_LT(of({"train.batch_size=64", "train.gradient_checkpointing=true"}).activations,
            of({"train.batch_size=64"}).activations);
  EXPECT_GT(of({"train.batch_size=64"}).activations, lora.activations);
  const TrainingMemory cached = of({"train.cache=true"});  // the encoders are not there in a step
  EXPECT_EQ(cached.weights + cached.encoders, lora.weights);
  EXPECT_LT(cached.peak(), lora.peak());
  TrainingMemory memory;
  memory.weights = 10, memory.trained = 5, memory.activations = 3, memory.encoders = 20;
  EXPECT_EQ(memory.peak(), 20u);
  memory.encoders = 2;
  EXPECT_EQ(memory.peak(), 18u);
}

TEST(TrainingMemory, WhatCannotFitIsRefusedWithTheFigures) {
  TrainingMemory memory;
  memory.weights = uint64_t{24} << 30;
  memory.trained = uint64_t{3} << 30;
  memory.activations = uint64_t{50} << 30;
  memory.parameters = 115;
  const TrainConfig config = config_from("", {"train.batch_size=4"});
  expect_memory(memory, config, uint64_t{100} << 30);
  expect_memory(memory, config, uint64_t{70} << 30);  // near: a warning
  expect_memory(memory, config, uint64_t{16} << 30, /*swap=*/uint64_t{54} << 30);
  const std::string error =
      error_of<UsageError>([&] { expect_memory(memory, config, uint64_t{16} << 30); });
  for (const char* part :
       {"77.0 GiB", "24.0 GiB", "16.0 GiB are available", "Prodigy", "a smaller train.batch_size",
        "train.gradient_checkpointing: true", "train.check_memory: false"})
    EXPECT_TRUE(has(error, part)) << part << " in " << error;
  expect_memory(memory, config_from("", {"train.check_memory=false"}), uint64_t{16} << 30);
}

}  // namespace
}  // namespace icedit
