// icedit plan train CONFIG: what a step takes, with and without recomputing.
#include <iostream>

#include "base/error.h"
#include "base/interrupt.h"
#include "cli/arguments.h"
#include "cli/plan.h"
#include "cli/train_options.h"
#include "diffusion/schedule.h"
#include "dist/launch_env.h"
#include "edit/recipe.h"
#include "edit/threads.h"
#include "edit/time_estimate.h"
#include "train/conditioning.h"
#include "train/memory.h"

namespace icedit::cli {
namespace {

constexpr double kSecondsOfABlock = 2;
// Adapters on most of a block's layers, and the optimizer.
constexpr double kWithAdapters = 1.1;
// Of a block's products its last ones, where keeps_last_products: 15360 of 36864 columns.
constexpr double kMadeOnce = 5.0 / 12;

struct PlanTrainOptions {
  std::vector<std::string> overrides;
  int64_t threads = 0;
  bool json = false, help = false;
};

std::vector<SettingGroup> groups(PlanTrainOptions& o) {
  return {{"The run", {override_option(o.overrides)}},
          {"Machine",
           {{"threads", "N", "of computation", "one a free core", integer(o.threads, 1, 4096)}}},
          {"What is shown", {{"json", "", "print the plan as JSON", "", into(o.json)}}},
          general_options(o.help)};
}

// Seconds of one sample, the same with and without recomputing: of a block without an adapter, and
// of the encoders, where nothing is cached.
struct SampleTime {
  double forward = 0, with_gradients = 0, encoders = 0;
};
SampleTime measure(const TrainConfig& config, const Residency& residency) {
  const int64_t side = config.dataset.condition_size;
  EditSize size;
  size.image_tokens = image_tokens(side, 2 * side, residency.vae_config().downscale());
  size.text_tokens = text_tokens(config, residency.files());
  size.pixels = 2 * side * side;
  const BlockTime block = measure_block(residency, size, kSecondsOfABlock / 2);
  throw_if_interrupted();
  SampleTime time = {block.forward, training_seconds(residency, size, kSecondsOfABlock), 0};
  throw_if_interrupted();
  if (!config.caches()) {
    const double picture = measure_vae(residency, size, /*decodes=*/false).encode;
    time.encoders = estimate_time(residency, size, block, block.flops, 1).text +
                    2 * picture;  // the target and the masked
  }
  return time;
}

// In micro-batches of the configuration, on this machine's share of it.
double step_seconds(const TrainConfig& config, const Residency& residency, const SampleTime& time) {
  double block = kWithAdapters * time.with_gradients;
  if (config.gradient_checkpointing)
    block += time.forward * (keeps_last_products(config, residency) ? 1 - kMadeOnce : 1);
  const double sample = block * double(transformer_blocks(residency).size()) + time.encoders;
  return sample * double(config.batch_size * config.accumulate_grad_batches);
}

PlanRow row_of(TrainConfig config, bool recomputing, const Residency& residency,
               const SampleTime& time, const std::string& flags) {
  config.gradient_checkpointing = recomputing;
  const TrainingMemory memory = estimate_training(config, residency);
  return {dtype_text(residency.precision().compute), recomputing ? "recomputing" : "all kept",
          memory.peak() + memory.mapped + kProgramBytes, step_seconds(config, residency, time),
          flags};
}

}  // namespace

int run_plan_train(const std::vector<std::string>& arguments) {
  PlanTrainOptions options;
  const auto rest = parse_arguments("plan train", groups(options), arguments);
  if (options.help) {
    std::cout << command_help({"icedit plan train CONFIG.yaml [--set KEY=VALUE]..."},
                              "Says what a step of the training takes of memory and time on this "
                              "CPU, and the command for what fits.",
                              groups(options), exit_codes_help());
    return 0;
  }
  const TrainConfig config = read_train_config("plan train", rest, options.overrides);
  const Threads threads(options.threads, LaunchEnv::read().alone());
  const Residency residency = training_residency(config, "cpu");
  const auto opened = residency.files().hold_open();
  const SampleTime time = measure(config, residency);
  const bool asked = config.gradient_checkpointing;
  const std::string other = str(" --set train.gradient_checkpointing=", asked ? "false" : "true");
  const std::vector<PlanRow> rows = {row_of(config, asked, residency, time, ""),
                                     row_of(config, !asked, residency, time, other)};
  const auto command = [&](const std::string& flags) {
    return "icedit train" + with_flags(arguments, flags);
  };
  print_plan(rows, "step", command, options.json);
  return 0;
}

}  // namespace icedit::cli
