#pragma once
// Everything that `icedit eval` takes.
#include <optional>
#include <string>
#include <vector>

#include "cli/model_options.h"
#include "edit/edit_settings.h"
#include "eval/evaluation.h"

namespace icedit::cli {

struct EvalCommand {
  EditSettings settings;  // what holds for every row; its pictures and instruction stay empty
  EvalOptions eval;       // `edit`, `batch` and `group` are filled in later
  std::optional<int64_t> batch;  // unset: as fits the model
  ModelOptions model;
  std::string data, output_dir;
  bool json = false, help = false;
};

std::vector<SettingGroup> eval_option_groups(EvalCommand& options);
std::string eval_help();
EvalCommand parse_eval_options(const std::vector<std::string>& arguments);  // throws UsageError

}  // namespace icedit::cli
