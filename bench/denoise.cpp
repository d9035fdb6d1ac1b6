// Times the warm denoising loop of a model: bench_denoise MODEL [--lora PATH] [--steps 8] [--runs
// 7] [--half 96] [--text 44]
// [--dtype auto|f32|bf16] [--threads 2]. Prints one JSON object; bench/peer/denoise.py prints the
// same for diffusers.
#include "diffusion/denoise.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
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
#include "diffusion/schedule.h"
#include "edit/residency.h"

namespace {

using namespace icedit;  // NOLINT: a program of its own

struct Arguments {
  std::string model, lora;
  int64_t steps = 8, runs = 7, half = 96, text = 44, threads = 2;
  DtypeChoice dtype = DtypeChoice::kAuto;
};

Arguments parse(int argc, char** argv) {
  if (argc < 2)
    throw UsageError(
        "usage: bench_denoise MODEL [--lora PATH] [--steps N] [--runs N] [--half PIXELS] ...");
  Arguments a;
  a.model = argv[1];
  std::map<std::string, int64_t*> numbers = {{"--steps", &a.steps},
                                             {"--runs", &a.runs},
                                             {"--half", &a.half},
                                             {"--text", &a.text},
                                             {"--threads", &a.threads}};
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--lora") {
      a.lora = value;
    } else if (flag == "--dtype") {
      a.dtype = value == "f32"    ? DtypeChoice::kF32
                : value == "bf16" ? DtypeChoice::kBF16
                                  : DtypeChoice::kAuto;
    } else if (numbers.count(flag) != 0) {
      *numbers[flag] = std::stoll(value);
    } else {
      throw UsageError("unknown option " + flag);
    }
  }
  return a;
}

void run(const Arguments& a) {
  at::set_num_threads(static_cast<int>(a.threads));
  const c10::InferenceMode inference;
  ModelRequest request;
  request.model = a.model;
  ResidencyOptions options;
  options.dtype = a.dtype;
  if (!a.lora.empty()) options.adapters.push_back({a.lora, 1.0});
  Residency residency(ModelFiles::find(request), options);
  const FluxTransformer& model = residency.transformer();
  const FluxConfig& c = model.config();
  const auto dtype = residency.precision().compute;
  at::Generator rng = at::detail::createCPUGenerator(0);
  const auto randn = [&](Shape shape) { return at::randn(shape, rng, at::kFloat).to(dtype); };

  DenoiseInputs in;
  const int64_t h = a.half / 8, w = 2 * a.half / 8, tokens = h / 2 * (w / 2);
  in.initial_latents = randn({1, tokens, c.out_channels});
  in.condition = randn({1, tokens, c.in_channels - c.out_channels});
  in.prompt_embeds = randn({1, a.text, c.joint_attention_dim});
  in.pooled_prompt_embeds = randn({1, c.pooled_projection_dim});
  in.image_ids = image_ids(h, w);
  in.text_ids = text_ids(a.text);
  in.sigmas =
      make_schedule(SchedulerConfig::from(residency.files().scheduler()), a.steps, tokens).sigmas;

  std::vector<double> seconds, cpu;
  for (int64_t i = 0; i <= a.runs; ++i) {  // the first is not counted
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu_start = std::clock();
    denoise(model, in);
    if (i == 0) continue;
    cpu.push_back(double(std::clock() - cpu_start) / CLOCKS_PER_SEC);
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  std::sort(cpu.begin(), cpu.end());
  const auto ms_per_step = [&](double loop) { return 1e3 * loop / static_cast<double>(a.steps); };
  std::printf(
      "{\"program\": \"icedit\", \"steps\": %ld, \"dtype\": \"%s\", \"ms_per_step\": %.3f, "
      "\"min\": %.3f, "
      "\"max\": %.3f, \"cpu_ms_per_step\": %.3f}\n",
      a.steps, at::toString(dtype), ms_per_step(seconds[seconds.size() / 2]),
      ms_per_step(seconds.front()), ms_per_step(seconds.back()), ms_per_step(cpu[cpu.size() / 2]));
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
