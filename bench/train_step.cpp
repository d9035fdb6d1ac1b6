// Times training steps at a model's layer sizes, without encoders and data:
// bench_train_step MODEL CONFIG [--dtype f32|bf16] [--checkpointing 0|1] [--half 512] [--text 512]
// [--steps 1] [--threads 2]. Forward, backward, clipping and optimizer are the trainer's. Prints
// one JSON object; bench/peer/train_step.py prints the same for diffusers and peft.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/process.h"
#include "diffusion/latents.h"
#include "edit/residency.h"
#include "train/adapter_setup.h"
#include "train/config.h"
#include "train/gradients.h"

namespace {

using namespace icedit;  // NOLINT: a program of its own

struct Arguments {
  std::string model, config, dtype = "bf16";
  int64_t checkpointing = 0, half = 512, text = 512, steps = 1, threads = 2;
};

Arguments parse(int argc, char** argv) {
  if (argc < 3) throw UsageError("usage: bench_train_step MODEL CONFIG [--dtype bf16] ...");
  Arguments a;
  a.model = argv[1];
  a.config = argv[2];
  std::map<std::string, int64_t*> numbers = {{"--checkpointing", &a.checkpointing},
                                             {"--half", &a.half},
                                             {"--text", &a.text},
                                             {"--steps", &a.steps},
                                             {"--threads", &a.threads}};
  for (int i = 3; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--dtype") {
      a.dtype = value;
    } else if (numbers.count(flag) != 0) {
      *numbers[flag] = std::stoll(value);
    } else {
      throw UsageError("unknown option " + flag);
    }
  }
  return a;
}

StepInputs random_inputs(const FluxConfig& c, const Arguments& a, at::ScalarType dtype,
                         at::Generator& rng) {
  const auto randn = [&](Shape shape) { return at::randn(shape, rng, at::kFloat).to(dtype); };
  const int64_t h = a.half / 8, w = 2 * a.half / 8, tokens = h / 2 * (w / 2);
  StepInputs in;
  in.x_0 = randn({1, tokens, c.out_channels});
  in.condition = randn({1, tokens, c.in_channels - c.out_channels});
  in.prompt_embeds = randn({1, a.text, c.joint_attention_dim});
  in.pooled = randn({1, c.pooled_projection_dim});
  in.image_ids = image_ids(h, w);
  in.text_ids = text_ids(a.text);
  return in;
}

// The step of train/trainer.cpp, less what encodes the pictures.
double step(const FluxTransformer& model, const Trainable& trained, Optimizer& optimizer,
            const StepInputs& in, const TrainConfig& config, at::Generator& rng) {
  optimizer.zero_grad();
  const Tensor t = at::sigmoid(at::randn({1}, rng, at::kFloat));
  const Tensor x_1 = at::randn(in.x_0.sizes(), rng, at::kFloat);
  const StepOutput out = objective(model, in, t, x_1, config.objective());
  out.loss.backward();
  clip_gradients(trained.parameters, config.gradient_clip_val);
  optimizer.step();
  return out.loss.item<double>();
}

void run(const Arguments& a) {
  at::set_num_threads(static_cast<int>(a.threads));
  const TrainConfig config = read_config(
      a.config, {"flux_path=" + a.model, "dtype=" + str(a.dtype == "f32" ? "float32" : "bfloat16"),
                 str("train.gradient_checkpointing=", a.checkpointing ? "true" : "false")});
  const uint64_t idle = peak_memory_bytes();
  ModelRequest request;
  request.model = a.model;
  ResidencyOptions options;
  options.dtype = a.dtype == "f32" ? DtypeChoice::kF32 : DtypeChoice::kBF16;
  Residency residency(ModelFiles::find(request), options);
  const FluxTransformer& model = residency.transformer();
  const Trainable trained = make_trainable(model, config);
  const auto optimizer = make_optimizer(config.optimizer, trained.parameters);
  at::Generator rng = at::detail::createCPUGenerator(0);
  const StepInputs in = random_inputs(model.config(), a, residency.precision().compute, rng);

  std::vector<double> seconds, cpu;
  double loss = 0;
  for (int64_t i = 0; i <= a.steps; ++i) {  // the first is not counted
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu_start = std::clock();
    loss = step(model, trained, *optimizer, in, config, rng);
    cpu.push_back(double(std::clock() - cpu_start) / CLOCKS_PER_SEC);
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  const auto mean = [&](const std::vector<double>& all) {
    double sum = 0;
    for (size_t i = 1; i < all.size(); ++i) sum += all[i];
    return sum / double(a.steps);
  };
  std::printf(
      "{\"program\": \"icedit\", \"dtype\": \"%s\", \"checkpointing\": %s, \"seconds\": %.3f, "
      "\"cpu_seconds\": %.3f, \"memory\": %llu, \"loss\": %.5f}\n",
      a.dtype.c_str(), a.checkpointing ? "true" : "false", mean(seconds), mean(cpu),
      static_cast<unsigned long long>(peak_memory_bytes() - idle), loss);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    log::set_level(log::Level::kQuiet);
    tune_runtime();
    run(parse(argc, argv));
  } catch (const std::exception& error) {
    log::error(error.what());
    return 1;
  }
}
