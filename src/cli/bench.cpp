// icedit bench: where the time of one call of the network goes.
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/counted.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/str.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/model_options.h"
#include "cli/plan.h"
#include "cli/table.h"
#include "edit/call_times.h"
#include "edit/edit_settings.h"
#include "edit/memory_plan.h"
#include "edit/threads.h"
#include "io/json.h"

namespace icedit::cli {
namespace {

struct BenchRow {
  std::string name, key;
  Stopwatch::Figures figures;
  double ceiling = 0;  // operations a second; 0: none is known
};

std::string rate_text(double flops) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f G/s", flops / 1e9);
  return text;
}

std::string percent_text(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f %%", 100 * share);
  return text;
}

std::string milliseconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f ms", seconds < 0.1 ? 2 : 0, 1e3 * seconds);
  return text;
}

std::vector<BenchRow> rows_of(const CallTimes& times, const Ceilings& ceilings) {
  const auto of = [&](Work work) { return times.work[size_t(work)]; };
  return {{"products", "products", of(Work::kProducts), ceilings.product},
          {"making their inputs", "inputs", of(Work::kInputs), 0},
          {"attention", "attention", of(Work::kAttention), ceilings.dense},
          {"the rest", "rest", of(Work::kRest), 0}};
}

Json json_of(const std::vector<BenchRow>& rows, const CallTimes& times) {
  Json parts = Json::object();
  for (const BenchRow& row : rows) {
    Json part = {{"seconds", row.figures.seconds}, {"share", row.figures.seconds / times.seconds}};
    if (row.ceiling > 0) {
      part["flops_per_second"] = row.figures.flops / row.figures.seconds;
      part["ceiling_flops_per_second"] = row.ceiling;
    }
    parts[row.key] = part;
  }
  return parts;
}

void print_rows(const std::vector<BenchRow>& rows, const CallTimes& times) {
  const std::vector<size_t> widths = {20, 10, 10, 10};
  print_row({"part", "time", "share", "speed", "of the machine's best"}, widths);
  for (const BenchRow& row : rows) {
    const double speed = row.figures.flops / row.figures.seconds;
    const bool known = row.ceiling > 0;
    print_row({row.name, milliseconds_text(row.figures.seconds),
               percent_text(row.figures.seconds / times.seconds), known ? rate_text(speed) : "",
               known ? percent_text(speed / row.ceiling) + " of " + rate_text(row.ceiling) : ""},
              widths);
  }
}

struct BenchOptions {
  EditSettings edit;  // of which what the size hangs on is asked for
  ModelOptions model;
  bool json = false, help = false;
};

std::vector<SettingGroup> groups(BenchOptions& o) {
  SettingGroup call{"The call", edit_options(o.edit)};
  std::erase_if(call.settings, [](const Setting& setting) {
    return setting.name != "width" && setting.name != "max-sequence-length";
  });
  call.settings.push_back({"json", "", "print the result as JSON", "", into(o.json)});
  return {call, model_options(o.model), machine_options(o.model), general_options(o.help)};
}

std::string bench_help() {
  BenchOptions options;
  return command_help(
      {"icedit bench [--model MODEL] [--quant TYPE] [options]"},
      "Times one call of the network at the size of an edit, on random inputs, part by part: "
      "matrix products (with LoRAs that are not folded), what makes their inputs, attention, the "
      "rest; and how near products come to one alone in the same precision, attention to a dense "
      "product.",
      groups(options), exit_codes_help());
}

}  // namespace

int run_bench(const Arguments& arguments) {
  BenchOptions options;
  const std::vector<std::string> rest = parse_arguments("bench", groups(options), arguments);
  if (options.help) {
    std::cout << bench_help();
    return 0;
  }
  if (!rest.empty())
    throw UsageError(str("icedit bench edits no picture, but '", rest.front(),
                         "' is there; --width says the size"));
  const Threads threads(options.model.threads);
  const ModelFiles files = ModelFiles::find(options.model.request);
  Residency residency(files, residency_options(options.model, files));
  const EditSize size = usual_size(residency, options.edit.request);
  plan_memory(residency, options.model.memory, /*several_pictures=*/false, size);
  const CallTimes times = measure_calls(residency, size, throw_if_interrupted);
  const std::vector<BenchRow> rows = rows_of(times, measure_ceilings(residency, size));
  const std::string precision = precision_name(residency);
  if (options.json) {
    std::cout << dumped({{"image_tokens", size.image_tokens},
                         {"text_tokens", size.text_tokens},
                         {"threads", threads.count()},
                         {"precision", precision},
                         {"calls", times.calls},
                         {"seconds_per_call", times.seconds},
                         {"modulations_seconds", times.modulations},
                         {"weight_bytes_per_call", times.weights},
                         {"peak_bytes", times.peak},
                         {"parts", json_of(rows, times)}},
                        2)
              << "\n";
    return 0;
  }
  std::cout << "one call of the network: " << milliseconds_text(times.seconds)
            << ", the fastest of " << times.calls << "; " << size.image_tokens << " + "
            << size.text_tokens << " tokens, " << precision << ", "
            << counted(threads.count(), "thread") << "\n\n";
  print_rows(rows, times);
  std::cout << "\nof each call: " << bytes_text(times.weights)
            << " of weights read; before the first: " << milliseconds_text(times.modulations)
            << " for modulations\nmost memory: " << bytes_text(times.peak) << "\n";
  return 0;
}

}  // namespace icedit::cli
