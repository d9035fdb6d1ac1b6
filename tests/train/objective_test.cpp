// What the training step computes, against tests/goldens/data/training.
#include "train/objective.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "adapters/attach.h"
#include "base/error.h"
#include "golden.h"
#include "io/temporary_folder.h"
#include "train/conditioning.h"
#include "train/gradients.h"

namespace icedit {
namespace {

using golden::tolerance::kFirstStep;

nlohmann::json golden_json(const std::string& relative) {
  return nlohmann::json::parse(std::ifstream(golden::path(relative)));
}

Residency tiny_residency() {
  ModelRequest request;
  request.model = golden::path("tiny-fill").string();
  ResidencyOptions options;
  options.dtype = DtypeChoice::kF32;
  options.keep = Keep::kAll;
  return Residency(ModelFiles::find(request), options);
}

FluxTransformer tiny_transformer() {
  const Path folder = golden::path("tiny-fill/transformer");
  return FluxTransformer::load(Checkpoint::open(folder), JsonFile(folder / "config.json"), {});
}

// Those under `prefix`, attached for training.
LoadedAdapter attach_golden(FluxTransformer& model, const golden::Tensors& tensors,
                            const std::string& prefix, int64_t top_k = 1) {
  std::vector<std::pair<std::string, Tensor>> named;
  for (const auto& [key, tensor] : tensors) {
    if (key.starts_with(prefix)) named.emplace_back(key.substr(prefix.size()), tensor);
  }
  const TemporaryFolder folder;
  save_tensors(folder / "lora.safetensors", named);
  AdapterFileOptions options;
  options.top_k = top_k;
  AttachOptions attach;
  attach.trainable = attach.allow_zero = true;
  return attach_adapter(model.linears(), AdapterFile::open(folder / "lora.safetensors", options),
                        attach);
}

// Step `number`'s data; later steps' conditions have step 0's mask.
struct GoldenStep {
  StepInputs in;
  Tensor t, x_1;

  GoldenStep(const golden::Tensors& batches, int number) {
    const auto get = [&](int step, const std::string& name) {
      return golden::get(batches, str(step, ".", name));
    };
    in.x_0 = get(number, "x_0");
    in.conditioning = {get(0, "condition"), get(number, "prompt_embeds"), get(number, "pooled"),
                       get(0, "image_ids"), get(0, "text_ids")};
    if (number > 0) {
      Tensor& condition = in.conditioning.condition;
      const Tensor mask = condition.split({64, 256}, 2)[1];
      condition = at::cat({get(number, "masked_latents"), mask}, 2);
    }
    t = get(number, "t");
    x_1 = get(number, "x_1");
  }
};

TEST(Objective, DrawsComeInThePublishedOrder) {
  const auto batches = golden::load("training/batches.safetensors");
  const auto meta = golden_json("training/batches.json");
  at::Generator generator = at::detail::createCPUGenerator(meta[0]["seed"].get<uint64_t>());
  const StepDraws draws = draw_step(generator, {2, 16, 8, 16}, {});
  const double noise = golden::tolerance::noise();
  EXPECT_TRUE(golden::close(draws.image_noise, golden::get(batches, "0.noise_image"), noise));
  EXPECT_TRUE(golden::close(draws.masked_noise, golden::get(batches, "0.noise_masked"), noise));
  EXPECT_TRUE(golden::close(draws.t_draw, golden::get(batches, "0.t_logits"), noise));
  EXPECT_TRUE(golden::close(draws.x_1, golden::get(batches, "0.x_1"), noise));
  const Tensor t = timesteps_of(draws.t_draw, 32, {});
  EXPECT_TRUE(golden::close(t, golden::get(batches, "0.t"), 1e-6));
}

TEST(Objective, ConditionsOfStepZero) {
  const auto batches = golden::load("training/batches.safetensors");
  const auto meta = golden_json("training/batches.json");
  const auto get = [&](const std::string& name) { return golden::get(batches, "0." + name); };
  StepDraws draws;
  draws.image_noise = get("noise_image");
  draws.masked_noise = get("noise_masked");
  const Tensor image = get("image").to(at::kFloat) / 255;
  Tensor mask = at::zeros({2, 1, image.size(2), image.size(3)});
  mask.narrow(3, image.size(3) / 2, image.size(3) / 2).fill_(1);
  const auto prompts = meta[0]["prompts"].get<std::vector<std::string>>();
  Residency residency = tiny_residency();
  for (const bool cache : {false, true}) {
    Conditioner conditioner(residency, get("prompt_embeds").size(1), {cache, ""});
    for (int round = 0; round < 2; ++round) {
      const StepInputs in = conditioner.encode(image, mask, prompts, draws);
      EXPECT_TRUE(golden::close(in.x_0, get("x_0"), kFirstStep));
      const Conditioning& c = in.conditioning;
      EXPECT_TRUE(golden::close(c.condition, get("condition"), kFirstStep));
      EXPECT_TRUE(golden::close(c.prompt_embeds, get("prompt_embeds"), kFirstStep));
      EXPECT_TRUE(golden::close(c.pooled_prompt_embeds, get("pooled"), kFirstStep));
      EXPECT_TRUE(golden::equal(c.image_ids, get("image_ids")));
      EXPECT_TRUE(golden::equal(c.text_ids, get("text_ids")));
    }
    EXPECT_EQ(conditioner.cache().held(), cache ? 4u : 0u);
  }
}

TEST(Objective, ADroppedPromptIsASpace) {
  const auto batches = golden::load("training/batches.safetensors");
  const auto meta = golden_json("training/batches.json");
  Residency residency = tiny_residency();
  Conditioner conditioner(residency, golden::get(batches, "0.prompt_embeds").size(1),
                          CacheOptions());
  int checked = 0;
  for (size_t step = 0; step < meta.size(); ++step) {
    const auto prompts = meta[step]["prompts"].get<std::vector<std::string>>();
    if (std::find(prompts.begin(), prompts.end(), " ") == prompts.end()) continue;
    const Tensor image = at::zeros({2, 3, 64, 128}), mask = at::ones({2, 1, 64, 128});
    at::Generator generator = at::detail::createCPUGenerator(1);
    const StepDraws draws = draw_step(generator, conditioner.latent_shape(image), {});
    const StepInputs in = conditioner.encode(image, mask, prompts, draws);
    const Tensor want = golden::get(batches, str(step, ".prompt_embeds"));
    EXPECT_TRUE(golden::close(in.conditioning.prompt_embeds, want, kFirstStep)) << step;
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

class FirstStep : public ::testing::TestWithParam<const char*> {};

TEST_P(FirstStep, LossPredictionEveryGradientAndClipping) {
  const std::string name = GetParam();
  const auto want = golden::load("training/first_step_" + name + ".safetensors");
  const GoldenStep step(golden::load("training/batches.safetensors"), 0);
  FluxTransformer model = tiny_transformer();
  const LoadedAdapter adapter = attach_golden(model, want, "lora.", name == "moe_top2" ? 2 : 1);
  const StepOutput out = objective(model, step.in, step.t, step.x_1);
  out.loss.backward();
  EXPECT_TRUE(golden::close(
      out.x_t, golden::get(golden::load("training/batches.safetensors"), "0.x_t"), kFirstStep));
  EXPECT_TRUE(golden::close(out.pred, golden::get(want, "pred"), kFirstStep));
  EXPECT_TRUE(golden::close(out.loss, golden::get(want, "loss"), kFirstStep));
  const NamedTensors parameters = adapter.tensors();
  for (const auto& [key, tensor] : parameters) {
    ASSERT_TRUE(tensor.grad().defined()) << key;
    EXPECT_TRUE(golden::close(tensor.grad(), golden::get(want, "grad." + key), kFirstStep)) << key;
  }
  const auto report = golden_json("training/first_step.json")[name];
  const auto after = report["gradient_after_clipping"];
  EXPECT_EQ(parameters.size(), after["count"].get<size_t>());
  const GradientFigures figures = clip_gradients(parameters, report["clip"].get<double>());
  EXPECT_NEAR(figures.total, report["total_norm"].get<double>(), 2e-5 * figures.total);
  EXPECT_NEAR(figures.mean, after["mean"].get<double>(), 2e-5 * figures.mean);
  EXPECT_NEAR(figures.max, after["max"].get<double>(), 2e-5 * figures.max);
}

INSTANTIATE_TEST_SUITE_P(All, FirstStep, ::testing::Values("lora", "moe_top1", "moe_top2"),
                         [](const auto& info) { return std::string(info.param); });

struct GoldenRun {
  const char* name;
  const char* init;  // where the tensors at the start are
  OptimizerConfig optimizer;
  bool repeats_first;
  double allowed;
};

OptimizerConfig published_prodigy(std::optional<double> d0 = std::nullopt) {
  OptimizerConfig config{"Prodigy",
                         {{"lr", 1.0},
                          {"use_bias_correction", true},
                          {"safeguard_warmup", true},
                          {"weight_decay", 0.01}}};
  if (d0) config.params["d0"] = *d0;
  return config;
}

OptimizerConfig from_runs(const std::string& type, const std::string& key) {
  OptimizerConfig config{type, {}};
  const auto settings = golden_json("training/runs.json")[key];
  for (const auto& [name, value] : settings.items()) {
    if (value.is_boolean()) config.params[name] = value.get<bool>();
    if (value.is_number()) config.params[name] = value.get<double>();
    if (value.is_array()) config.params[name] = value.get<std::vector<double>>();
  }
  return config;
}

class Runs : public ::testing::TestWithParam<int> {
 public:
  static std::vector<GoldenRun> all() {
    return {{"adamw", "prodigy", from_runs("AdamW", "adamw"), false, 5e-4},
            {"sgd", "prodigy", from_runs("SGD", "sgd"), false, 2e-6},
            {"prodigy", "prodigy", published_prodigy(), false, 5e-4},
            {"prodigy_filled_b", "prodigy_filled_b", published_prodigy(), false, 5e-4},
            {"prodigy_d0_1e-3", "prodigy", published_prodigy(1e-3), false, 5e-4},
            {"prodigy_long", "prodigy", published_prodigy(), true, 5e-4},
            {"prodigy_long_d0_1e-3", "prodigy", published_prodigy(1e-3), true, 5e-4}};
  }
};

// How far the first step may be off in each weight although the formula is right. A gradient is
// known up to the f32 noise of the terms that it is a sum of: 2.2e-6 of its tensor's largest value
// (tolerance.json: "training first step lora", grad.*), so kNoise. SGD hands it on; Adam and
// Prodigy move by g / (|g| + e) of the rate, nearly g's sign, so that a weight whose gradient is
// near its noise may move by anything up to the rate, and all others hardly feel it.
// `from`, `to`: the weight before and after; `g`: the gradient that made the step.
Tensor first_step_noise(const OptimizerConfig& optimizer, const Tensor& from, const Tensor& to,
                        const Tensor& g) {
  constexpr double kEps = 1e-8, kBeta2 = 0.999, kNoise = 3e-6;
  const double e = optimizer.type == "Prodigy" ? kEps / std::sqrt(1 - kBeta2) : kEps;
  const Tensor rate = (to - from).abs().max(), noise = kNoise * g.abs().max();
  if (optimizer.type == "SGD") return (kNoise * rate).expand_as(g);
  const auto move = [&](const Tensor& gradient) { return gradient / (gradient.abs() + e); };
  return rate * at::maximum(move(g + noise) - move(g), move(g) - move(g - noise));
}

TEST_P(Runs, LossesNormsAndWeightsOfEveryStep) {
  const GoldenRun run = all()[size_t(GetParam())];
  SCOPED_TRACE(run.name);
  const auto want = golden::load(str("training/", run.name, ".safetensors"));
  const auto batches = golden::load("training/batches.safetensors");
  FluxTransformer model = tiny_transformer();
  const LoadedAdapter adapter =
      attach_golden(model, golden::load(str("training/", run.init, ".safetensors")), "init.");
  const NamedTensors parameters = adapter.tensors();
  const auto optimizer = make_optimizer(run.optimizer, parameters);
  std::map<std::string, Tensor> start, noise;
  for (const auto& [key, tensor] : parameters) start[key] = tensor.detach().clone();
  // The noise of the first step stays in the sum of all steps.
  const auto expect_weights = [&](const std::string& prefix) {
    for (const auto& [key, tensor] : parameters) {
      const auto found = want.find(prefix + key);
      if (found == want.end()) continue;
      const Tensor off = tensor.detach() - found->second;
      const Tensor more = off.sign() * (off.abs() - noise.at(key)).clamp_min(0);
      EXPECT_TRUE(golden::close(found->second + more, found->second, run.allowed)) << prefix << key;
    }
  };
  const Tensor want_loss = golden::get(want, "loss"), want_norm = golden::get(want, "total_norm");
  Tensor loss = at::empty_like(want_loss), norm = at::empty_like(want_loss),
         d = at::zeros_like(loss);
  for (int i = 0; i < int(want_loss.size(0)); ++i) {
    const GoldenStep step(batches, run.repeats_first ? 0 : i);
    optimizer->zero_grad();
    const StepOutput out = objective(model, step.in, step.t, step.x_1);
    out.loss.backward();
    loss[i] = out.loss.item<double>();
    norm[i] = clip_gradients(parameters, 0.5).total;
    optimizer->step();
    d[i] = optimizer->estimated_d().value_or(0);
    if (i > 0) continue;
    int64_t excused = 0, all = 0;
    for (const auto& [key, tensor] : parameters) {
      const Tensor now = tensor.detach(), g = tensor.grad().to(at::kDouble);
      noise[key] = first_step_noise(run.optimizer, start[key], now, g);
      excused += (noise[key] > run.allowed * (now - start[key]).abs().max()).sum().item<int64_t>();
      all += g.numel();
    }
    if (run.optimizer.type != "SGD") {
      EXPECT_LE(excused, all / 200);  // of 14,848: 36, and 57 where B starts filled
    }
    expect_weights("after1.");
  }
  expect_weights("final.");
  EXPECT_TRUE(golden::close(loss, want_loss, run.allowed));
  EXPECT_TRUE(golden::close(norm, want_norm, run.allowed));
  if (want.count("d") > 0) {
    EXPECT_TRUE(golden::close(d, golden::get(want, "d"), run.allowed));
  }
}

INSTANTIATE_TEST_SUITE_P(All, Runs, ::testing::Range(0, 7));

Tensor timesteps(const Tensor& draw, int64_t tokens, TimestepSampling sampling,
                 const SchedulerConfig& scheduler = {}) {
  ObjectiveOptions options;
  options.timesteps = sampling;
  options.scheduler = scheduler;
  return timesteps_of(draw, tokens, options);
}

TEST(Objective, TimestepsOfEverySampling) {
  const Tensor u = at::tensor({0.0, 0.25, 0.5, 0.75, 1.0}, at::kDouble);
  EXPECT_TRUE(golden::equal(timesteps(u, 1, TimestepSampling::kUniform), u));
  const Tensor mode = timesteps(u, 1, TimestepSampling::kMode);  // 1 at 0, 0 at 1
  EXPECT_NEAR(mode[0].item<double>(), 1, 1e-12);
  EXPECT_NEAR(mode[2].item<double>(), 0.5, 1e-12);
  EXPECT_NEAR(mode[4].item<double>(), 0, 1e-12);
  EXPECT_LT(mode[3].item<double>(), mode[1].item<double>());
  const Tensor plain = timesteps(u, 4096, TimestepSampling::kLogitNormal);
  EXPECT_NEAR(plain[0].item<double>(), 0.5, 1e-12);
}

TEST(Objective, TheShiftIsTheModelsSchedulers) {
  const auto at_half = [](const SchedulerConfig& scheduler) {  // sigmoid(0) is 1/2
    return timesteps(at::zeros({1}, at::kDouble), 4096, TimestepSampling::kFluxShift, scheduler)
        .item<double>();
  };
  SchedulerConfig scheduler;
  const double flux = std::exp(1.15);  // FLUX's largest shift, at 4096 tokens
  EXPECT_NEAR(at_half(scheduler), flux / (1 + flux), 1e-9);
  scheduler.max_shift = 2;
  EXPECT_NEAR(at_half(scheduler), std::exp(2) / (1 + std::exp(2)), 1e-9);
  scheduler.use_dynamic_shifting = false;
  scheduler.shift = 3;
  EXPECT_NEAR(at_half(scheduler), 0.75, 1e-9);
}

TEST(Objective, OffsetNoiseComesLastAndIsTheSameForAllTokens) {
  at::Generator a = at::detail::createCPUGenerator(3), b = at::detail::createCPUGenerator(3);
  ObjectiveOptions options;
  const Tensor plain = draw_step(a, {2, 16, 8, 16}, options).x_1;
  options.use_offset_noise = true;
  const Tensor offset = draw_step(b, {2, 16, 8, 16}, options).x_1 - plain;
  EXPECT_TRUE(golden::close(offset, offset.select(1, 0).unsqueeze(1).expand_as(offset), 1e-5));
  EXPECT_NEAR(offset.std().item<double>(), 0.1, 0.03);
}

TEST(Objective, TheMaskedLossIsTheMeanOverTheRightHalf) {
  const GoldenStep step(golden::load("training/batches.safetensors"), 0);
  FluxTransformer model = tiny_transformer();
  const at::NoGradGuard no_grad;
  ObjectiveOptions options;
  options.loss = LossTokens::kRightHalf;
  const StepOutput out = objective(model, step.in, step.t, step.x_1, options);
  const Tensor squares = (out.pred - (step.x_1 - step.in.x_0)).square();
  const Tensor right = squares.unflatten(1, {4, 8}).narrow(2, 4, 4);  // 4 rows of 8 tokens
  EXPECT_TRUE(golden::close(out.loss, right.mean(), 1e-6));
}

TEST(Objective, TheLossOnWhatChangesWeighsEveryTokenByItsChangeAndEveryPairAlike) {
  GoldenStep step(golden::load("training/batches.safetensors"), 0);
  FluxTransformer model = tiny_transformer();
  const at::NoGradGuard no_grad;
  // The first pair changes in one token alone, by 0.25 in every channel; the second not at all.
  Tensor x_0 = step.in.x_0.clone().unflatten(1, {4, 8});  // 4 rows of 8 tokens
  x_0.narrow(2, 4, 4).copy_(x_0.narrow(2, 0, 4));
  x_0[0][2][4 + 1] += 0.25;
  step.in.x_0 = x_0.flatten(1, 2);
  ObjectiveOptions options;
  options.loss = LossTokens::kChanged;
  const StepOutput out = objective(model, step.in, step.t, step.x_1, options);
  const Tensor squares = (out.pred - (step.x_1 - step.in.x_0)).square();
  const Tensor right = squares.unflatten(1, {4, 8}).narrow(2, 4, 4).mean(-1);  // [2, 4, 4]
  const Tensor first = (right[0].sum() + 3 * right[0][2][1]) / (16 + 3);
  EXPECT_TRUE(golden::close(out.loss, (first + right[1].mean()) / 2, 1e-5));
}

}  // namespace
}  // namespace icedit
