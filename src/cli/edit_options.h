#pragma once
// Everything that `icedit edit` takes.
#include <string>
#include <vector>

#include "cli/model_options.h"
#include "edit/edit_settings.h"

namespace icedit::cli {

struct EditOptions {
  EditSettings settings;  // what holds for every picture unless a line of a batch says otherwise
  std::vector<std::string> inputs;  // pictures, folders, .jsonl files
  ModelOptions model;
  ReadOptions read;
  std::string output_dir, recipe;
  std::vector<std::string> then;  // instructions of further edits
  std::vector<int64_t> without;   // steps of the picture's chain that are left out, from 1
  std::string original;           // of that chain, where it is not beside the picture
  bool force = false, skip_existing = false, json = false, dry_run = false, help = false;
  int64_t preview_every = 0;
  bool preview_full = false;
};

std::vector<SettingGroup> edit_option_groups(EditOptions& options);
// Of `icedit plan`: all but those that say how a run is shown.
std::vector<SettingGroup> plan_option_groups(EditOptions& options);
std::string edit_help();

// Throws UsageError; with --recipe also NoInputError and DataError.
EditOptions parse_edit_options(const std::vector<std::string>& arguments);
EditOptions parse_plan_options(const std::vector<std::string>& arguments);

}  // namespace icedit::cli
