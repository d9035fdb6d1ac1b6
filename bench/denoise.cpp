// Times the warm denoising loop of a model: bench_denoise MODEL [--lora PATH] [--steps 8] [--runs
// 7] [--half 96] [--text 44]
// [--dtype auto|f32|bf16] [--quant none|int8] [--threads 2; 0: as icedit chooses]. Prints one JSON
// object; bench/peer/denoise.py prints the same for diffusers.
#include "diffusion/denoise.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstdio>

#include "diffusion/schedule.h"
#include "edit/residency.h"
#include "edit/threads.h"
#include "program.h"

namespace {

using namespace icedit;  // NOLINT: a program of its own

struct Arguments {
  std::string model, lora, dtype = "auto", quant = "none";
  int64_t steps = 8, runs = 7, half = 96, text = 44, threads = 2;
};

Arguments parse(int argc, char** argv) {
  if (argc < 2)
    throw UsageError(
        "usage: bench_denoise MODEL [--lora PATH] [--steps N] [--runs N] [--half PIXELS] ...");
  Arguments a;
  a.model = argv[1];
  bench::parse_flags(argc, argv, 2,
                     {{{"--lora", &a.lora}, {"--dtype", &a.dtype}, {"--quant", &a.quant}},
                      {{"--steps", &a.steps},
                       {"--runs", &a.runs},
                       {"--half", &a.half},
                       {"--text", &a.text},
                       {"--threads", &a.threads}}});
  return a;
}

void run(const Arguments& a) {
  const Threads threads(a.threads);
  const c10::InferenceMode inference;
  ModelRequest request;
  request.model = a.model;
  ResidencyOptions options;
  options.dtype = a.dtype == "f32"    ? DtypeChoice::kF32
                  : a.dtype == "bf16" ? DtypeChoice::kBF16
                                      : DtypeChoice::kAuto;
  options.quant = choice_value({"--quant", a.quant}, quants());
  if (!a.lora.empty()) options.adapters.push_back({a.lora, 1.0});
  Residency residency(ModelFiles::find(request), options);
  const FluxTransformer& model = residency.transformer();
  const auto dtype = residency.precision().compute;
  at::Generator rng = at::detail::createCPUGenerator(0);
  const bench::RandomInputs random =
      bench::random_inputs(model.config(), a.half, a.text, dtype, rng);

  DenoiseInputs in;
  in.initial_latents = random.latents;
  in.conditioning = random.conditioning;
  in.sigmas =
      make_schedule(SchedulerConfig::from(residency.files().scheduler()), a.steps, random.tokens)
          .sigmas;

  auto [seconds, cpu] = bench::timed(a.runs, [&] { denoise(model, in); });
  std::sort(seconds.begin(), seconds.end());
  std::sort(cpu.begin(), cpu.end());
  const auto ms_per_step = [&](double loop) { return 1e3 * loop / static_cast<double>(a.steps); };
  std::printf(
      "{\"program\": \"icedit\", \"steps\": %ld, \"dtype\": \"%s\", \"ms_per_step\": %.3f, "
      "\"min\": %.3f, "
      "\"max\": %.3f, \"cpu_ms_per_step\": %.3f, \"threads\": %d}\n",
      a.steps, at::toString(dtype), ms_per_step(seconds[seconds.size() / 2]),
      ms_per_step(seconds.front()), ms_per_step(seconds.back()), ms_per_step(cpu[cpu.size() / 2]),
      threads.count());
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program([&] { run(parse(argc, argv)); });
}
