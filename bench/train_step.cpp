// Times training steps at a model's layer sizes, without encoders and data:
// bench_train_step MODEL CONFIG [--dtype f32|bf16] [--checkpointing 0|1] [--half 512] [--text 512]
// [--steps 1] [--threads 2] [--quant none|int8|int4]. Forward, backward, clipping and optimizer are
// the trainer's. Prints one JSON object; bench/peer/train_step.py prints the same for diffusers and
// peft.

#include <cstdio>
#include <numeric>

#include "edit/residency.h"
#include "edit/threads.h"
#include "program.h"
#include "train/adapter_setup.h"
#include "train/config.h"
#include "train/gradients.h"

namespace {

using namespace icedit;  // NOLINT: a program of its own

struct Arguments {
  std::string model, config, dtype = "bf16", quant = "none";
  int64_t checkpointing = 0, half = 512, text = 512, steps = 1, threads = 2;
};

Arguments parse(int argc, char** argv) {
  if (argc < 3) throw UsageError("usage: bench_train_step MODEL CONFIG [--dtype bf16] ...");
  Arguments a;
  a.model = argv[1];
  a.config = argv[2];
  bench::parse_flags(argc, argv, 3,
                     {{{"--dtype", &a.dtype}, {"--quant", &a.quant}},
                      {{"--checkpointing", &a.checkpointing},
                       {"--half", &a.half},
                       {"--text", &a.text},
                       {"--steps", &a.steps},
                       {"--threads", &a.threads}}});
  return a;
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
  const Threads threads(a.threads);
  keep_large_blocks(kEveryBlock);  // as training does
  const TrainConfig config = read_config(
      a.config, {"flux_path=" + a.model, "dtype=" + str(a.dtype == "f32" ? "float32" : "bfloat16"),
                 str("train.gradient_checkpointing=", a.checkpointing ? "true" : "false")});
  const uint64_t idle = peak_memory_bytes();
  ModelRequest request;
  request.model = a.model;
  ResidencyOptions options;
  options.quant = choice_value({"--quant", a.quant}, quants());
  options.dtype = a.dtype == "f32" ? DtypeChoice::kF32 : DtypeChoice::kBF16;
  Residency residency(ModelFiles::find(request), options);
  FluxTransformer& model = residency.transformer();
  const Trainable trained =
      make_trainable(model, config, init_lora(shapes_of(model.linears()), config));
  const auto optimizer = make_optimizer(config.optimizer, trained.parameters);
  at::Generator rng = at::detail::createCPUGenerator(0);
  const bench::RandomInputs random =
      bench::random_inputs(model.config(), a.half, a.text, residency.precision().compute, rng);
  const StepInputs in = {random.latents, random.conditioning};

  double loss = 0;
  const auto [seconds, cpu] =
      bench::timed(a.steps, [&] { loss = step(model, trained, *optimizer, in, config, rng); });
  const auto mean = [](const std::vector<double>& all) {
    return std::accumulate(all.begin(), all.end(), 0.0) / double(all.size());
  };
  std::printf(
      "{\"program\": \"icedit\", \"dtype\": \"%s\", \"checkpointing\": %s, \"seconds\": %.3f, "
      "\"cpu_seconds\": %.3f, \"memory\": %llu, \"loss\": %.5f}\n",
      a.dtype.c_str(), a.checkpointing ? "true" : "false", mean(seconds), mean(cpu),
      static_cast<unsigned long long>(peak_memory_bytes() - idle), loss);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program([&] { run(parse(argc, argv)); });
}
