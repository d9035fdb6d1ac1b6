#include "cli/plan.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iostream>
#include <map>

#include "base/error.h"
#include "base/interrupt.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/edit_options.h"
#include "edit/recipe.h"
#include "edit/threads.h"
#include "edit/time_estimate.h"

namespace icedit::cli {
namespace {

constexpr double kSecondsOfMeasuring = 0.6;  // a block in each precision

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

class Planner {
 public:
  Planner(const EditOptions& options, const ModelFiles& files) : options_(options), files_(files) {}

  std::vector<PlanRow> rows() {
    const Component transformer = files_.open(Part::kTransformer);
    const ModelOptions& asked = options_.model;
    for (const PrecisionChoice& choice : precisions(asked)) {
      throw_if_interrupted();
      if (choice.quant == asked.quant ||
          quant_fault(transformer.checkpoint, choice.quant, asked.gguf_compute).empty())
        add(choice);
    }
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
    const Unquantised& rest =
        choice.quant == Quant::kNone ? keep(residency, size, block) : unquantised(model, size);
    const StreamedParts streamed = residency.streamed();
    const auto row = [&](const MemoryLimit& limit, const std::string& flags) {
      residency.set_streamed(streamed);  // as a run begins
      plan_memory(residency, limit, options_.settings.request.num_images > 1, size);
      const int64_t calls = calls_of(options_, files_.defaults());
      EditTime time = estimate_time(residency, size, block, rest.flops, calls);
      time.call *= mean_call(options_, size);
      const double seconds = time.total() + rest.vae.load + rest.vae.encode +
                             double(options_.settings.request.num_images) * rest.vae.decode;
      add_row({name, residency_text(residency), process_bytes(residency, size), seconds,
               flags_of(choice) + flags});
    };
    MemoryLimit limit = options_.model.memory;
    row(limit, "");
    if (limit.most) return;
    const uint64_t all = process_bytes(residency, size, kProgramAtMost);
    const uint64_t least = least_bytes(residency, size);
    if (least >= all) return;
    // Half way, too: where the blocks that stay are spread among the others.
    for (const uint64_t most : {(least + all) / 2, least}) {
      const PlainLimit plain = plain_limit(most);
      limit.most = plain.bytes;
      row(limit, " --max-memory " + plain.text);
    }
  }

  // Another limit may leave the same in memory.
  void add_row(const PlanRow& row) {
    const bool there = std::any_of(rows_.begin(), rows_.end(), [&](const PlanRow& other) {
      return other.precision == row.precision && other.residency == row.residency &&
             other.peak == row.peak;
    });
    if (!there) rows_.push_back(row);
  }

  // What the text encoders' time is counted by, and the VAE's. Both are never quantised.
  struct Unquantised {
    double flops = 0;
    PictureTime vae;
  };
  const Unquantised& keep(const Residency& residency, const EditSize& size,
                          const BlockTime& block) {
    return unquantised_[residency.precision().compute] = {block.flops,
                                                          measure_vae(residency, size)};
  }
  const Unquantised& unquantised(ModelOptions model, const EditSize& size) {
    model.quant = Quant::kNone;
    const Residency residency(files_, residency_options(model, files_));
    const auto known = unquantised_.find(residency.precision().compute);
    if (known != unquantised_.end()) return known->second;
    return keep(residency, size, measure_block(residency, size, kSecondsOfMeasuring));
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
  std::map<at::ScalarType, Unquantised> unquantised_;
};

std::string plan_help() {
  EditOptions options;
  return command_help(
      {"icedit plan [PICTURE...] [options of edit]", "icedit plan train CONFIG.yaml"},
      "Says what an edit would take of memory and time with each precision and with "
      "less in memory, what fits this machine, and the command for it. Memory is "
      "read from headers; times are measured on one block and the VAE for some seconds.",
      plan_option_groups(options), exit_codes_help());
}

// What the fastest is run by, with words in place of what was not given. A chain that goes on, or
// that is made again, needs no instruction.
std::string command_of(const Arguments& arguments, const EditOptions& options,
                       const std::string& flags) {
  const bool has_instruction = !options.settings.request.instruction.empty() ||
                               !options.then.empty() || !options.without.empty();
  const std::string instruction = has_instruction ? "" : " \"INSTRUCTION\"";
  const std::string words = with_flags(arguments, flags);
  if (options.inputs.empty()) return "icedit edit PICTURE" + instruction + words;
  return "icedit edit" + words + instruction;  // behind the pictures
}

}  // namespace

std::string precision_name(const Residency& residency) {
  const Dtype stored = stored_dtype(residency.files().open(Part::kTransformer).checkpoint);
  const std::string dtype = dtype_text(residency.precision().compute);
  if (stored == Dtype::kI8) return str(dtype_name(stored), ", ", dtype);
  if (residency.quant() != Quant::kNone) return quant_name(residency.quant());
  if (dtype_block(stored) == 1) return dtype;
  const bool int8 = residency.gguf_compute() == GgufCompute::kInt8;
  return str(dtype_name(stored), int8 ? " in int8, " : ", ", dtype);
}

int run_plan(const Arguments& arguments) {
  if (!arguments.empty() && arguments.front() == "train")
    return run_plan_train({arguments.begin() + 1, arguments.end()});
  const EditOptions options = parse_plan_options(arguments);
  if (options.help) {
    std::cout << plan_help();
    return 0;
  }
  const Threads threads(options.model.threads);
  const ModelFiles files = ModelFiles::find(options.model.request);
  check_speed(options.settings.request, files.defaults());
  const auto command = [&](const std::string& flags) {
    return command_of(arguments, options, flags);
  };
  const auto opened = files.hold_open();
  const double reading = reading_seconds(files);  // measuring reads a part of them
  print_plan(Planner(options, files).rows(), "edit", command, options.json, reading);
  return 0;
}

}  // namespace icedit::cli
