#include "train/config.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "golden.h"
#include "io/temporary_folder.h"
#include "train/adapter_setup.h"

namespace icedit {
namespace {

// As ICEdit publishes it, keys without effect and all.
const char* const kPublished = R"yaml(
flux_path: "nano"
dtype: "bfloat16"
model:
  union_cond_attn: true
  add_cond_attn: false
  latent_lora: false
  use_sep: false
train:
  batch_size: 2
  accumulate_grad_batches: 1
  dataloader_workers: 5
  save_interval: 1000
  sample_interval: 1000
  max_steps: -1
  gradient_checkpointing: true
  save_path: "runs"
  condition_type: "edit"
  dataset:
    type: "edit_with_omini"
    path: "parquet/*.parquet"
    condition_size: 512
    target_size: 512
    image_size: 512
    padding: 8
    drop_text_prob: 0.1
    drop_image_prob: 0.1
    specific_task: ["removal", "style"]
  wandb:
    project: "OminiControl"
  lora_config:
    r: 32
    lora_alpha: 16
    init_lora_weights: "gaussian"
    target_modules: "(.*x_embedder|.*(?<!single_)transformer_blocks\\.[0-9]+\\.norm1\\.linear)"
  optimizer:
    type: "Prodigy"
    params:
      lr: 1
      use_bias_correction: true
      safeguard_warmup: true
      weight_decay: 0.01
      betas: [0.9, 0.99]
)yaml";

std::string error_with(const std::vector<std::string>& overrides) {
  return error_of<UsageError>([&] { parse_config(kPublished, "a.yaml", overrides); });
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Config, ThePublishedFile) {
  const TrainConfig c = parse_config(kPublished, "a.yaml");
  EXPECT_EQ(c.batch_size, 2);
  EXPECT_EQ(c.mode, TrainMode::kLora);
  EXPECT_TRUE(c.gradient_checkpointing);
  EXPECT_EQ(c.dataset.type, DatasetType::kEditWithOmini);
  EXPECT_EQ(c.dataset.path, std::vector<std::string>{"parquet/*.parquet"});
  EXPECT_EQ(c.dataset.specific_task, (std::vector<std::string>{"removal", "style"}));
  EXPECT_EQ(c.lora.r, 32);
  EXPECT_EQ(c.lora.lora_alpha, 16);
  EXPECT_EQ(std::get<double>(c.optimizer.params.at("lr")), 1);
  EXPECT_TRUE(std::get<bool>(c.optimizer.params.at("safeguard_warmup")));
  EXPECT_EQ(std::get<std::vector<double>>(c.optimizer.params.at("betas")).size(), 2u);
  EXPECT_EQ(c.gradient_clip_val, 0.5);
  EXPECT_EQ(c.without_effect.size(), 9u);
}

TEST(Config, OverridesComeLast) {
  const TrainConfig c = parse_config(
      kPublished, "a.yaml",
      {"train.batch_size=4", "train.batch_size=5", "train.dataset.path=[a, b]",
       "train.optimizer.params.lr=0.5", "train.dataset.crop_the_noise=false", "train.seed=7"});
  EXPECT_EQ(c.batch_size, 5);
  EXPECT_EQ(c.dataset.path.size(), 2u);
  EXPECT_EQ(std::get<double>(c.optimizer.params.at("lr")), 0.5);
  EXPECT_EQ(c.dataset.crop_the_noise, false);
  EXPECT_EQ(c.seed, 7);
}

TEST(Config, ExpertsMakeAMoeLora) {
  const std::vector<std::string> experts = {"train.lora_config.num_experts=2"};
  EXPECT_EQ(parse_config(kPublished, "a.yaml", experts).mode, TrainMode::kMoeLora);
  EXPECT_TRUE(has(error_with({experts[0], "train.lora_config.top_k=3"}), "top_k is 3"));
}

TEST(Config, TheEffectiveFileReadsBackToTheSame) {
  const TrainConfig c = parse_config(kPublished, "a.yaml", {"train.ema_decay=0.999"});
  const std::string text = effective_yaml(c);
  const TrainConfig again = parse_config(text, "config.yaml");
  EXPECT_EQ(effective_yaml(again), text);
  EXPECT_EQ(computing_settings(again), computing_settings(c));
  EXPECT_TRUE(again.without_effect.empty());
  for (const std::string& key : config_keys())
    EXPECT_TRUE(has(text, key.substr(key.rfind('.') + 1) + ":")) << key;
}

TEST(Config, TheFingerprintHoldsWhatIsComputed) {
  const auto of = [](const std::string& text) {
    return computing_settings(parse_config(kPublished, "a.yaml", {text}));
  };
  EXPECT_EQ(of("train.save_interval=5"), of("train.max_steps=7"));
  EXPECT_NE(of("train.batch_size=5"), of("train.max_steps=7"));
  EXPECT_EQ(of("train.lr_schedule=cosine").count("train.max_steps"), 1u);  // it bends the rate
}

TEST(Config, WrongOnesSayWhatIsWrong) {
  EXPECT_TRUE(has(error_with({"train.batchsize=4"}), "did you mean 'train.batch_size'?"));
  EXPECT_TRUE(has(error_with({"train.lr_scheduler=x"}), "'train.lr_schedule'"));
  EXPECT_TRUE(has(error_with({"batch_size=4"}), "'train.batch_size'"));
  EXPECT_TRUE(has(error_with({"train.lora_config.alpha=4"}), "train.lora_config.lora_alpha"));
  EXPECT_TRUE(has(error_with({"train.steps=4"}), "train.max_steps"));
  EXPECT_TRUE(has(error_with({"train.optimizer.rate=4"}), "'train.optimizer' has [type, params]"));
  EXPECT_TRUE(has(error_with({"modle.use_sep=true"}), "did you mean 'model'?"));
  EXPECT_TRUE(has(error_with({"train.batch_size=many"}),
                  "a.yaml: train.batch_size is 'many', expected a whole number"));
  EXPECT_TRUE(has(error_with({"train.batch_size=0"}), "1 to"));
  EXPECT_TRUE(has(error_with({"train.batch_size=[1]"}), "a list"));
  EXPECT_TRUE(has(error_with({"train.dataset.drop_text_prob=2"}), "from 0 to 1"));
  EXPECT_TRUE(has(error_with({"train.dataset.type=edits"}), "edit_with_omini"));
  EXPECT_TRUE(has(error_with({"train.gradient_checkpointing=perhaps"}), "true or false"));
  EXPECT_TRUE(has(error_with({"train.dataset.resize=crop"}), "squash or bucket"));
  EXPECT_TRUE(has(error_with({"train.timestep_sampling=logitnormal"}), "flux_shift or mode"));
  EXPECT_TRUE(has(error_with({"train.loss=left"}), "right_half"));
  EXPECT_TRUE(has(error_with({"train.lr_schedule=linear"}), "constant or cosine"));
  EXPECT_TRUE(has(error_with({"train.warmup_steps=-1"}), "from 0 to"));
  EXPECT_TRUE(has(error_with({"train.optimizer=Adam"}), "no group"));
  EXPECT_TRUE(has(error_with({"train.batch_size"}), "KEY=VALUE"));
  EXPECT_TRUE(has(error_with({"flux_path=null"}), "flux_path is missing"));
  EXPECT_TRUE(has(error_with({"train.dataset.path="}), "--set train.dataset.path= gives no value"));
  EXPECT_TRUE(has(error_with({"train.save_path=''"}), "train.save_path is empty"));
  EXPECT_TRUE(has(error_with({"train.max_steps=0"}), "train.max_steps is 0, expected at least 1"));
  EXPECT_TRUE(
      has(error_with({"train.lora_config.target_modules=null"}), "target_modules is missing"));
  const auto of = [](const std::string& yaml) {
    return error_of<UsageError>([&] { parse_config(yaml, "b.yaml"); });
  };
  EXPECT_TRUE(has(of("a: [1"), "b.yaml is no YAML"));
  EXPECT_TRUE(has(of("flux_path: nano"), "target_modules is missing"));
  EXPECT_TRUE(has(of("flux_path: nano\ntrain: {mode: lora}"), "target_modules is missing"));
  EXPECT_TRUE(has(of("flux_path: nano\ntrain: [1]"), "train is no group of keys"));
  EXPECT_TRUE(has(of("flux_path: nano\ntrain: {lora_config: 3}"), "lora_config is no group"));
  EXPECT_TRUE(has(of("just a text"), "b.yaml"));
  EXPECT_TRUE(has(of(""), "b.yaml"));
}

TEST(Config, AKeyThatStandsTwiceIsAnErrorWithBothLines) {
  const auto of = [](const std::string& yaml) {
    return error_of<UsageError>([&] { parse_config(yaml, "b.yaml"); });
  };
  EXPECT_TRUE(has(of("dtype: auto\nflux_path: nano\ndtype: float32\n"),
                  "b.yaml: the key 'dtype' stands in line 1 and again in line 3"));
  EXPECT_TRUE(has(of("flux_path: nano\ntrain:\n  seed: 1\n  dataset:\n    type: edit\n"
                     "    split: a\n    type: omini\n"),
                  "'train.dataset.type' stands in line 5 and again in line 7"));
  EXPECT_TRUE(has(of("train:\n  optimizer: {params: {lr: 1,\n lr: 2}}\n"),
                  "'train.optimizer.params.lr' stands in line 2 and again in line 3"));
  // Two groups of one name, which YAML readers in Python would let the last one win.
  EXPECT_TRUE(has(of("train: {seed: 1}\ntrain: {seed: 2}\n"), "'train' stands in line 1"));
  EXPECT_TRUE(has(error_with({"train.optimizer.params={lr: 1, lr: 2}"}), "the key 'lr'"));
  EXPECT_TRUE(has(of("a: &x\n  b: *x\n"), "deep"));  // an alias within what it names
}

// As PyYAML reads YAML 1.1.
TEST(Config, BooleansHaveManyNames) {
  const auto of = [](const std::string& key, const std::string& value) {
    return parse_config(kPublished, "a.yaml", {key + "=" + value});
  };
  for (const std::string yes : {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}) {
    EXPECT_TRUE(of("train.cache", yes).cache) << yes;
    EXPECT_EQ(of("train.lora_config.init_lora_weights", yes).lora.init_lora_weights, "true");
    EXPECT_EQ(of("train.dataset.crop_the_noise", yes).dataset.crop_the_noise, true) << yes;
    const TrainConfig c = of("train.optimizer.params.decouple", yes);
    EXPECT_TRUE(std::get<bool>(c.optimizer.params.at("decouple"))) << yes;
  }
  for (const std::string no : {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
    EXPECT_FALSE(of("train.use_offset_noise", no).use_offset_noise) << no;
  for (const std::string neither : {"y", "N", "tRUE", "1"})
    EXPECT_TRUE(has(error_with({"train.cache=" + neither}), "expected true or false")) << neither;
  EXPECT_TRUE(has(error_with({"train.lora_config.init_lora_weights=False"}), "gaussian or true"));
  // Nor is such a word a text, unless it is quoted.
  EXPECT_TRUE(has(error_with({"train.dataset.split=on"}), "without quotes is true or false"));
  EXPECT_TRUE(has(error_with({"train.dataset.specific_task=[style, No]"}), "without quotes"));
  const TrainConfig quoted = of("train.dataset.specific_task", "[style, 'No']");
  EXPECT_EQ(quoted.dataset.specific_task, (std::vector<std::string>{"style", "No"}));
  const TrainConfig again = parse_config(effective_yaml(quoted), "config.yaml");
  EXPECT_EQ(again.dataset.specific_task, quoted.dataset.specific_task);
}

TEST(Config, MergeKeysComeBelowTheOthers) {
  const TrainConfig c = parse_config(R"yaml(
flux_path: nano
defaults: &defaults {seed: 1, batch_size: 2, warmup_steps: 3}
others:
  - &first {seed: 4, warmup_steps: 5, <<: {save_interval: 6}}
  - &rate 0.25
train:
  <<: [*first, *defaults]
  batch_size: 7
  dataset: {type: edit, path: a.parquet}
  lora_config: {target_modules: all-linear}
  optimizer: {params: {lr: *rate}}
)yaml",
                                     "a.yaml");
  EXPECT_EQ(c.seed, 4);
  EXPECT_EQ(c.warmup_steps, 5);
  EXPECT_EQ(c.batch_size, 7);
  EXPECT_EQ(c.save_interval, 6);
  EXPECT_EQ(std::get<double>(c.optimizer.params.at("lr")), 0.25);
  const auto of = [](const std::string& yaml) {
    return error_of<UsageError>([&] { parse_config(yaml, "b.yaml"); });
  };
  // What nobody refers to is a slip.
  EXPECT_TRUE(has(of("flux_path: nano\nx: &d {seed: 4}\n"), "there is no key 'x'"));
  EXPECT_TRUE(has(of("train: {<<: 3}\n"), "'<<' in line 1 names no group of keys"));
  EXPECT_TRUE(has(of("x: &d {sede: 4}\ntrain: {<<: *d}\n"), "did you mean 'train.seed'?"));
}

TEST(Config, ASecondDocumentIsAnError) {
  const std::string error = error_of<UsageError>(
      [&] { parse_config(std::string(kPublished) + "---\ntrain: {batch_size: 4}\n", "b.yaml"); });
  EXPECT_TRUE(has(error, "b.yaml holds 2 YAML documents, expected one")) << error;
  EXPECT_EQ(parse_config("---" + std::string(kPublished) + "...\n", "b.yaml").batch_size, 2);
}

TEST(Config, ATildeIsTheUsersFolder) {
  const std::string home = std::getenv("HOME") != nullptr ? std::getenv("HOME") : "";
  ::setenv("HOME", "/home/me", 1);
  const TrainConfig c =
      parse_config(kPublished, "a.yaml",
                   {"flux_path=~/model", "train.init_lora=~/lora", "train.save_path=~/runs",
                    "train.cache_dir=~/cache", "train.dataset.path=['~/a/*.parquet', b/~]",
                    "train.dataset.magicbrush_path=~/b", "train.sample_data=[~/c]"});
  ::setenv("HOME", home.c_str(), 1);
  EXPECT_EQ(c.flux_path, "/home/me/model");
  EXPECT_EQ(c.init_lora, "/home/me/lora");
  EXPECT_EQ(c.save_path, "/home/me/runs");
  EXPECT_EQ(c.cache_dir, "/home/me/cache");
  EXPECT_EQ(c.dataset.path, (std::vector<std::string>{"/home/me/a/*.parquet", "b/~"}));
  EXPECT_EQ(c.dataset.magicbrush_path, std::vector<std::string>{"/home/me/b"});
  EXPECT_EQ(c.sample_data, std::vector<std::string>{"/home/me/c"});
}

TEST(Config, AListOfOneTargetIsAListOfNames) {
  const LinearShapes modules = {{"a.to_q", {}}, {"b.to_k", {}}, {"b.to_q", {}}};
  const auto targets = [&](const std::string& value) {
    const TrainConfig c =
        parse_config(kPublished, "a.yaml", {"train.lora_config.target_modules=" + value});
    const TrainConfig again = parse_config(effective_yaml(c), "config.yaml");
    EXPECT_EQ(targets_of(modules, again.lora), targets_of(modules, c.lora));
    return targets_of(modules, c.lora);
  };
  EXPECT_EQ(targets("[to_q]"), (std::vector<std::string>{"a.to_q", "b.to_q"}));
  EXPECT_EQ(targets("[to_q, to_k]"), (std::vector<std::string>{"a.to_q", "b.to_k", "b.to_q"}));
  EXPECT_EQ(targets("b.*"), (std::vector<std::string>{"b.to_k", "b.to_q"}));
  EXPECT_THROW(targets("to_q"), UsageError);  // an expression for the whole name
}

TEST(Config, WrongTypesOfEveryKind) {
  for (const char* key :
       {"train.batch_size", "train.seed", "train.ema_decay", "train.cache", "train.check_memory",
        "train.dataset.condition_size", "train.mode", "train.dataset.drop_text_prob",
        "train.lora_config.r", "dtype", "train.save_path", "train.dataset.crop_the_noise"}) {
    const std::string error = error_with({std::string(key) + "=[1, {a: b}]"});
    EXPECT_TRUE(has(error, std::string("a.yaml: ") + key + " is a list, expected ")) << error;
  }
  EXPECT_TRUE(has(error_with({"train.dataset.path={a: b}"}), "a text or a list of texts"));
  EXPECT_TRUE(has(error_with({"train.dataset.path=[[a]]"}), "train.dataset.path is a list"));
  EXPECT_TRUE(has(error_with({"train.optimizer.params=3"}), "keys with values"));
  EXPECT_TRUE(has(error_with({"train.optimizer.params.lr={a: b}"}), "params.lr is a group"));
  EXPECT_TRUE(has(error_with({"train.dataset=3"}), "train.dataset is no group of keys"));
}

TEST(Config, OursAreReadAndSpellThePublishedTargets) {
  const Path folder = Path(ICEDIT_SOURCE) / "configs";
  const Path model_folder = golden::path("tiny-fill/transformer");
  const auto model = FluxTransformer::load(Checkpoint::open(model_folder),
                                           JsonFile(model_folder / "config.json"), {});
  for (const std::string name : {"normal_lora", "moe_lora", "nano_lora"}) {
    const TrainConfig c = read_config((folder / (name + ".yaml")).string(), {});
    EXPECT_EQ(c.mode, name == "moe_lora" ? TrainMode::kMoeLora : TrainMode::kLora);
    const bool experts = c.mode == TrainMode::kMoeLora;
    const AdapterFile file = fresh_adapter(model.linears(), c.lora, experts, 1);
    EXPECT_EQ(file.modules.size(), 31u) << name;  // as the goldens have them
    EXPECT_EQ(std::count_if(file.modules.begin(), file.modules.end(),
                            [](const auto& module) { return module.has_router(); }),
              experts ? 5 : 0)
        << name;
    EXPECT_TRUE(c.without_effect.empty());
  }
}

TEST(FreshAdapter, IsAFunctionOfTheSeed) {
  const Path folder = golden::path("tiny-fill/transformer");
  const auto model =
      FluxTransformer::load(Checkpoint::open(folder), JsonFile(folder / "config.json"), {});
  LoraConfig config;
  config.r = 8;
  config.target_modules = {"all-linear"};
  const AdapterFile a = fresh_adapter(model.linears(), config, true, 3),
                    b = fresh_adapter(model.linears(), config, true, 3),
                    other = fresh_adapter(model.linears(), config, true, 4);
  double squares = 0, count = 0;
  for (size_t i = 0; i < a.modules.size(); ++i) {
    if (a.modules[i].has_router()) continue;
    const Tensor& factor = a.modules[i].a[0];
    EXPECT_TRUE(golden::equal(factor, b.modules[i].a[0]));
    EXPECT_FALSE(factor.equal(other.modules[i].a[0]));
    EXPECT_FALSE(a.modules[i].b[0].any().item<bool>());
    squares += factor.square().sum().item<double>();
    count += double(factor.numel());
  }
  EXPECT_NEAR(std::sqrt(squares / count), 1.0 / 8, 0.005);
  config.init_lora_weights = "true";
  const Tensor uniform = fresh_adapter(model.linears(), config, false, 3).modules[0].a[0];
  const double bound = 1 / std::sqrt(double(uniform.size(1)));
  EXPECT_LE(uniform.abs().max().item<double>(), bound);
  EXPECT_GT(uniform.abs().max().item<double>(), 0.9 * bound);
}

TEST(FreshAdapter, TargetsThatMatchNothingAreErrors) {
  const Path folder = golden::path("tiny-fill/transformer");
  const auto model =
      FluxTransformer::load(Checkpoint::open(folder), JsonFile(folder / "config.json"), {});
  LoraConfig config;
  config.target_modules = {".*attn\\.to_queue"};
  const auto error = [&](bool experts) {
    return error_of<UsageError>([&] { fresh_adapter(model.linears(), config, experts, 1); });
  };
  EXPECT_TRUE(has(error(false), "to_q"));
  config.target_modules = {"x_embedder"};
  EXPECT_TRUE(has(error(true), "expert_modules"));
}

}  // namespace
}  // namespace icedit
