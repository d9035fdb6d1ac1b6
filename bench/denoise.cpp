// Times the warm denoising loop of a model: bench_denoise MODEL [--lora PATH] [--steps 8] [--runs
// 7] [--half 96] [--text 44]
// [--dtype auto|f32|bf16] [--quant none|int8] [--threads 2; 0: as icedit chooses] [--in-turns 1: of
// --lora, which is switched off in every other loop]. Prints one JSON object; bench/peer/denoise.py
// prints the same for diffusers.
#include "diffusion/denoise.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "diffusion/schedule.h"
#include "edit/residency.h"
#include "edit/threads.h"
#include "program.h"

namespace {

using namespace icedit;  // NOLINT: a program of its own

struct Arguments {
  std::string model, lora, dtype = "auto", quant = "none";
  int64_t steps = 8, runs = 7, half = 96, text = 44, threads = 2, in_turns = 0;
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
                       {"--threads", &a.threads},
                       {"--in-turns", &a.in_turns}}});
  if (a.in_turns != 0 && a.lora.empty()) throw UsageError("--in-turns needs --lora");
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

  const auto loop = [&] { denoise(model, in); };
  bench::Times times, without;
  if (a.in_turns == 0) times = bench::timed(a.runs, loop);
  for (int64_t i = 0; a.in_turns != 0 && i <= a.runs; ++i) {
    for (const double scale : {0.0, 1.0}) {
      residency.set_adapter_scale(0, scale);
      (scale == 0 ? without : times).add(bench::timed_once(loop), /*counts=*/i > 0);
    }
  }
  // Of a warm loop alone: Linux counts VmHWM anew.
  std::ofstream("/proc/self/clear_refs") << 5;
  loop();
  for (auto* list : {&times.wall, &times.cpu, &without.wall}) std::sort(list->begin(), list->end());
  const auto ms_per_step = [&](double loop) { return 1e3 * loop / static_cast<double>(a.steps); };
  const auto median = [&](const std::vector<double>& l) { return ms_per_step(l[l.size() / 2]); };
  std::printf(
      "{\"program\": \"icedit\", \"steps\": %ld, \"dtype\": \"%s\", \"ms_per_step\": %.3f, "
      "\"min\": %.3f, \"max\": %.3f, \"cpu_ms_per_step\": %.3f, \"threads\": %d, "
      "\"peak_bytes\": %lu",
      a.steps, at::toString(dtype), median(times.wall), ms_per_step(times.wall.front()),
      ms_per_step(times.wall.back()), median(times.cpu), threads.count(), peak_memory_bytes());
  if (a.in_turns != 0)
    std::printf(", \"without_lora\": %.3f, \"min_without_lora\": %.3f", median(without.wall),
                ms_per_step(without.wall.front()));
  std::printf("}\n");
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_program([&] { run(parse(argc, argv)); });
}
