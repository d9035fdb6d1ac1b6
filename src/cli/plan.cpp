#include "cli/plan.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "base/error.h"
#include "base/shell.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/edit_options.h"
#include "edit/recipe.h"
#include "edit/threads.h"
#include "edit/time_estimate.h"

namespace icedit::cli {
namespace {

constexpr double kSecondsOfMeasuring = 1.2;  // of each precision
constexpr double kTenth = double(uint64_t{1} << 30) / 10;

struct PrecisionChoice {
  DtypeChoice dtype;
  Quant quant;
};

// What was asked for, or all that differ.
std::vector<PrecisionChoice> precisions(const ModelOptions& asked) {
  if (asked.quant != Quant::kNone) return {{asked.dtype, asked.quant}};
  if (asked.dtype != DtypeChoice::kAuto)
    return {{asked.dtype, Quant::kNone}, {asked.dtype, Quant::kInt8}, {asked.dtype, Quant::kInt4}};
  return {{DtypeChoice::kAuto, Quant::kNone},
          {DtypeChoice::kF32, Quant::kNone},
          {DtypeChoice::kAuto, Quant::kInt8},
          {DtypeChoice::kAuto, Quant::kInt4}};
}

// Of the pictures that are named, or a square one.
EditSize size_of(const EditOptions& options, const Residency& residency) {
  EditSize size;
  for (const std::string& input : options.inputs) {
    const Image picture = read_image(input, options.read);
    const Size source = {picture.width, picture.height};
    const EditRequest& request = options.settings.request;
    const Size half = half_size(residency, request, source);
    size = larger(size, edit_size(residency, request, half, source));
  }
  return options.inputs.empty() ? usual_size(residency, options.settings.request) : size;
}

int64_t calls_of(const EditOptions& options, const ModelDefaults& defaults) {
  const EditRequest& request = options.settings.request;
  const int64_t steps = request.steps.value_or(defaults.num_inference_steps);
  return request.speed.calls.value_or(steps) * request.num_images;
}

// Of a whole call's time, on average: with --reuse-left some leave tokens out.
double mean_call(const EditOptions& options, const EditSize& size) {
  const auto every = double(options.settings.request.speed.reuse_left);
  const auto tokens = double(size.image_tokens + size.text_tokens);
  return 1 - double(size.kept_tokens) / tokens * (every - 1) / every;
}

// Up to the next tenth of a GiB, as a flag takes it.
std::string max_memory_flag(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, " --max-memory %.1fG", std::ceil(double(bytes) / kTenth) / 10);
  return text;
}

class Planner {
 public:
  Planner(const EditOptions& options, const ModelFiles& files) : options_(options), files_(files) {}

  std::vector<PlanRow> rows() {
    for (const PrecisionChoice& choice : precisions(options_.model)) add(choice);
    return std::move(rows_);
  }

 private:
  void add(const PrecisionChoice& choice) {
    ModelOptions model = options_.model;
    model.dtype = choice.dtype;
    model.quant = choice.quant;
    Residency residency(files_, residency_options(model, files_));
    const std::string name = precision_name(residency);
    if (std::any_of(rows_.begin(), rows_.end(),
                    [&](const PlanRow& row) { return row.precision == name; }))
      return;
    const EditSize size = size_of(options_, residency);
    const BlockTime block = measure_block(residency, size, kSecondsOfMeasuring);
    const double dense = choice.quant == Quant::kNone ? block.flops : dense_flops(model, size);
    if (choice.dtype == options_.model.dtype) dense_ = dense;
    const auto row = [&](const std::string& flags) {
      const int64_t calls = calls_of(options_, files_.defaults());
      EditTime time = estimate_time(residency, size, block, dense, calls);
      time.call *= mean_call(options_, size);
      rows_.push_back({name, residency_text(residency), process_bytes(residency, size),
                       time.total(), flags_of(choice) + flags});
    };
    MemoryLimit limit = options_.model.memory;
    plan_memory(residency, limit, options_.settings.request.num_images > 1, size);
    row(limit.most ? max_memory_flag(*limit.most) : "");
    if (limit.most) return;
    limit.most = least_bytes(residency, size);
    if (*limit.most >= rows_.back().peak) return;
    // Half way, too: where the blocks that stay are spread among the others.
    for (const uint64_t most : {(*limit.most + rows_.back().peak) / 2, *limit.most}) {
      limit.most = uint64_t(std::ceil(double(most) / kTenth) * kTenth);
      plan_memory(residency, limit, false, size);
      row(max_memory_flag(*limit.most));
    }
  }

  // Of the text encoders and the VAE, which are not quantised.
  double dense_flops(ModelOptions model, const EditSize& size) const {
    if (dense_ > 0) return dense_;
    model.quant = Quant::kNone;
    const Residency residency(files_, residency_options(model, files_));
    return measure_block(residency, size, kSecondsOfMeasuring).flops;
  }

  // Only what differs from what was asked.
  std::string flags_of(const PrecisionChoice& choice) const {
    std::string flags;
    if (choice.dtype != options_.model.dtype) flags += " --dtype f32";
    if (choice.quant != options_.model.quant) flags += " --quant " + quant_name(choice.quant);
    return flags;
  }

  static std::string residency_text(const Residency& residency) {
    const size_t streamed = residency.streamed().blocks.size();
    if (streamed > 0)
      return str(transformer_blocks(residency).size() - streamed, " of ",
                 transformer_blocks(residency).size(), " blocks");
    return residency.keep() == Keep::kAll ? "everything" : "one component";
  }

  const EditOptions& options_;
  const ModelFiles& files_;
  std::vector<PlanRow> rows_;
  double dense_ = 0;
};

std::string plan_help() {
  EditOptions options;
  return command_help(
      {"icedit plan [PICTURE...] [options of edit]", "icedit plan train CONFIG.yaml"},
      "Says what an edit would take of memory and time with each precision and with "
      "less in memory, what fits this machine, and the command for it. Memory is "
      "read from headers; times are measured on one block for some seconds.",
      edit_option_groups(options), exit_codes_help());
}

// What the fastest is run by; it has no --json.
std::string command_of(const Arguments& arguments, const EditOptions& options) {
  std::string command = "icedit edit";
  if (options.inputs.empty()) command += " PICTURE \"INSTRUCTION\"";
  for (const std::string& word : arguments)
    if (word != "--json") command += " " + shell_quoted(word);
  return command;
}

}  // namespace

std::string precision_name(const Residency& residency) {
  const Dtype stored = stored_dtype(residency.files().open(Part::kTransformer).checkpoint);
  const std::string dtype = dtype_text(residency.precision().compute);
  if (stored == Dtype::kI8) return str(dtype_name(stored), ", ", dtype);
  if (residency.quant() != Quant::kNone) return quant_name(residency.quant());
  return dtype_block(stored) > 1 ? str(dtype_name(stored), ", ", dtype) : dtype;
}

int run_plan(const Arguments& arguments) {
  if (!arguments.empty() && arguments.front() == "train")
    return run_plan_train({arguments.begin() + 1, arguments.end()});
  EditOptions options = parse_edit_options(arguments);
  if (options.help) {
    std::cout << plan_help();
    return 0;
  }
  const Threads threads(options.model.threads);
  const ModelFiles files = ModelFiles::find(options.model.request);
  print_plan(Planner(options, files).rows(), "edit", command_of(arguments, options), options.json);
  return 0;
}

}  // namespace icedit::cli
