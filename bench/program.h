#pragma once
// What the benchmarks have in common. Header only: each is a program of one file.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/process.h"
#include "diffusion/latents.h"
#include "models/flux/transformer.h"
#include "nn/large_blocks.h"

namespace icedit::bench {

struct Flags {
  std::map<std::string, std::string*> texts;
  std::map<std::string, int64_t*> numbers;
};

// --flag value, in pairs, from argv[first] on.
inline void parse_flags(int argc, char** argv, int first, const Flags& flags) {
  for (int i = first; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flags.texts.count(flag) != 0) {
      *flags.texts.at(flag) = argv[i + 1];
    } else if (flags.numbers.count(flag) != 0) {
      *flags.numbers.at(flag) = std::stoll(argv[i + 1]);
    } else {
      throw UsageError("unknown option " + flag);
    }
  }
}

// What a transformer reads, drawn in the peers' order: a diptych of halves of `half` pixels.
struct RandomInputs {
  Tensor latents;  // [1, I, out_channels]
  Conditioning conditioning;
  int64_t tokens = 0;  // I
};

inline RandomInputs random_inputs(const FluxConfig& c, int64_t half, int64_t text,
                                  at::ScalarType dtype, at::Generator& rng) {
  const auto randn = [&](Shape shape) { return at::randn(shape, rng, at::kFloat).to(dtype); };
  const int64_t h = half / 8, w = 2 * half / 8;
  RandomInputs in;
  in.tokens = h / 2 * (w / 2);
  in.latents = randn({1, in.tokens, c.out_channels});
  in.conditioning.condition = randn({1, in.tokens, c.in_channels - c.out_channels});
  in.conditioning.prompt_embeds = randn({1, text, c.joint_attention_dim});
  in.conditioning.pooled_prompt_embeds = randn({1, c.pooled_projection_dim});
  in.conditioning.image_ids = image_ids(h, w);
  in.conditioning.text_ids = text_ids(text);
  return in;
}

struct Times {
  std::vector<double> wall, cpu;  // seconds of each run

  void add(const std::pair<double, double>& run, bool counts) {
    if (!counts) return;
    wall.push_back(run.first);
    cpu.push_back(run.second);
  }
};

// Seconds of one call, and of CPU time.
template <class Work>
std::pair<double, double> timed_once(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t cpu_start = std::clock();
  work();
  const double cpu = double(std::clock() - cpu_start) / CLOCKS_PER_SEC;
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), cpu};
}

// Of `runs` calls, after one that is not counted.
template <class Work>
Times timed(int64_t runs, const Work& work) {
  Times times;
  for (int64_t i = 0; i <= runs; ++i) times.add(timed_once(work), /*counts=*/i > 0);
  return times;
}

// The fastest of them, in seconds.
template <class Work>
double best(int64_t runs, const Work& work) {
  const std::vector<double> seconds = timed(runs, work).wall;
  return *std::min_element(seconds.begin(), seconds.end());
}

// Runs `work` as a program; returns its exit code.
template <class Work>
int run_program(const Work& work) {
  try {
    log::set_level(log::Level::kQuiet);
    tune_malloc();
    keep_large_blocks();
    work();
    return 0;
  } catch (const std::exception& error) {
    log::error(error.what());
    return 1;
  }
}

}  // namespace icedit::bench
