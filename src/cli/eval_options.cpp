#include "cli/eval_options.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "cli/arguments.h"

namespace icedit::cli {
namespace {

constexpr int64_t kLargestBatch = 4096;

// Of an edit's options those that can hold for every row.
SettingGroup edit_group(EvalCommand& o) {
  const std::set<std::string> taken = {
      "seed",   "steps",  "guidance",  "max-sequence-length", "width", "noise-order",
      "sizing", "layout", "detail",    "detail-tolerance",    "speed", "speed-error",
      "calls",  "solver", "reuse-left"};
  SettingGroup group{"The edits (as of icedit edit)", {}};
  for (Setting& option : edit_options(o.settings)) {
    if (taken.count(option.name) == 0) continue;
    if (option.name == "seed") {
      option.help = "of row 0; row i of the data has seed N + i";
      option.fallback = "0";
    }
    if (option.name == "detail") {
      option.help = "bring edits to the source's size, and keep its detail or the model's";
      option.fallback = "the model's size";
    }
    group.settings.push_back(std::move(option));
  }
  return group;
}

SettingGroup data_group(EvalCommand& o) {
  return {"Data and results",
          {{"data", "FILE",
            "Parquet with source_img, target_img, instruction and perhaps task; also a folder or "
            "a \"glob\"",
            "", into(o.data)},
           {"limit", "N", "only the first N rows", "all", integer(o.eval.limit, 1)},
           {"every", "N", "only the rows 0, N, 2 N, ...", "1", integer(o.eval.every, 1)},
           {"batch", "N", "so many rows of one size are edited together",
            "8 for small models, else 1", integer(o.batch, 1, kLargestBatch)},
           {"output, o, output-dir", "FOLDER",
            "keep pictures, figures and contact sheets there; a run that was stopped goes on", "",
            into(o.output_dir)},
           {"json", "", "print the figures as JSON", "", into(o.json)}}};
}

}  // namespace

std::vector<SettingGroup> eval_option_groups(EvalCommand& options) {
  return {data_group(options), edit_group(options), model_options(options.model),
          machine_options(options.model), general_options(options.help)};
}

std::string eval_help() {
  EvalCommand options;
  return command_help(
      {"icedit eval --data FILE.parquet [--lora PATH[:SCALE]] [-o FOLDER] [options]"},
      "Edits every row of a data set in MagicBrush's columns and compares the edits with the\n"
      "targets, per task and in all: L1 and L2 as MagicBrush defines them, PSNR, and success.\n"
      "docs/eval.md has the definitions.",
      eval_option_groups(options), exit_codes_help());
}

EvalCommand parse_eval_options(const std::vector<std::string>& arguments) {
  EvalCommand options;
  const std::vector<std::string> rest =
      parse_arguments("eval", eval_option_groups(options), arguments);
  if (!rest.empty()) {
    throw UsageError(
        str("icedit eval takes options alone, but '", rest[0], "' is none; give data with --data"));
  }
  return options;
}

}  // namespace icedit::cli
