#include "cli/edit_options.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/output_names.h"
#include "cli/paths.h"
#include "edit/recipe.h"

namespace icedit::cli {
namespace {

constexpr int64_t kMostPixels = int64_t{1} << 31;

SettingGroup edit_group(EditOptions& o) {
  SettingGroup group{"The edit (also keys of a batch's lines, as in \"num_images\")",
                     edit_options(o.settings)};
  for (Setting& option : group.settings) {
    if (option.name != "image") continue;
    option.help += "; may be given several times";
    option.variable = [&o](const Given& given) { o.inputs.push_back(given.text); };
  }
  return group;
}

SettingGroup file_group(EditOptions& o) {
  return {
      "Files",
      {{"output-dir", "FOLDER", "write there, under the inputs' names", "", into(o.output_dir)},
       {"force, f", "", "overwrite files that exist", "", into(o.force)},
       {"skip-existing", "", "leave out inputs whose outputs exist: goes on with a batch", "",
        into(o.skip_existing)},
       {"recipe", "PICTURE", "take the settings that made PICTURE; other options override them", "",
        into(o.recipe)},
       {"then", "TEXT",
        "edit the result again, at full size; several times for several; without an instruction "
        "it goes on with PICTURE's chain",
        "", [&o](const Given& given) { o.then.push_back(text_value(given)); }},
       {"without", "N",
        "make PICTURE's chain again from its original (beside it, or --image), without step N", "",
        [&o](const Given& given) { o.without.push_back(integer_value(given, 1)); }},
       {"max-pixels", "N", "refuse larger pictures", std::to_string(kMaxPixels),
        integer(o.read.max_pixels, 1, kMostPixels)},
       {"pillow-exact", "",
        "16-bit grey is clipped and alpha dropped, as Pillow's convert(\"RGB\") does", "",
        into(o.read.pillow_exact)}}};
}

SettingGroup output_group(EditOptions& o) {
  return {"What is shown",
          {{"json", "", "print the result as JSON", "", into(o.json)},
           {"dry-run", "",
            "say what would be loaded, how large it is and what would be made; load nothing", "",
            into(o.dry_run)},
           {"preview", "N", "write OUTPUT.preview-STEP.png every N steps", "",
            integer(o.preview_every, 1)},
           {"preview-full", "", "previews are decoded by the VAE: slower, and as large as the edit",
            "", into(o.preview_full)}}};
}

void apply_recipe(EditOptions& options, const std::string& picture) {
  const std::vector<StepRecord> steps = read_recipe(picture).steps;
  options.settings = steps.back().edit;
  options.settings.model_size = false;  // what a chain or a region may change
  if (steps.size() > 1) {
    log::warn(str(picture, " was made in ", steps.size(), " steps; --recipe takes the settings of ",
                  "the last alone (icedit reproduce runs them all)"));
  }
}

bool is_batch(const std::string& path) {
  return path.ends_with(".jsonl");
}

// No file, and nothing that can only be meant as one.
bool is_instruction(const std::string& word) {
  const bool several_words = word.find(' ') != std::string::npos;
  return !is_there(word) && (several_words || !(is_batch(word) || is_picture_name(word)));
}

// The last word that is no option is the instruction, unless it was given otherwise or is a file.
// An instruction of several words is known as such in any place.
void take_instruction(EditOptions& options, std::vector<std::string> rest) {
  if (!options.without.empty()) {  // --image names the original of the picture's chain
    if (!options.inputs.empty()) options.original = options.inputs.back();
    options.inputs.clear();
  }
  std::string& instruction = options.settings.request.instruction;
  if (instruction.empty() && !rest.empty()) {
    auto found = rest.end() - 1;
    if (!is_instruction(*found)) {
      found = std::find_if(rest.begin(), rest.end(), [](const std::string& word) {
        return word.find(' ') != std::string::npos && is_instruction(word);
      });
    }
    // A single word may be the name of a picture that is not there.
    const bool alone = rest.size() + options.inputs.size() == 1;
    if (found != rest.end() && !(alone && found->find(' ') == std::string::npos)) {
      instruction = *found;
      rest.erase(found);
    }
  }
  // In the order of the command line: pictures first, those of --image behind them.
  options.inputs.insert(options.inputs.begin(), rest.begin(), rest.end());
}

// What -o says beside a name.
void check_output(const EditOptions& options) {
  if (options.settings.output != kStandardOutput) return;
  if (!options.output_dir.empty())
    throw UsageError("-o - writes to standard output, --output-dir to a folder; give one of them");
  if (options.json) {
    throw UsageError("-o - and --json both write to standard output; give -o a file");
  }
  if (options.preview_every > 0)
    throw UsageError("--preview writes files beside the output, but -o - has none; give -o a file");
}

using Groups = std::vector<SettingGroup> (*)(EditOptions&);

EditOptions parse(const std::string& command, Groups groups,
                  const std::vector<std::string>& arguments) {
  EditOptions first;
  parse_arguments(command, groups(first), arguments);
  EditOptions options;
  options.help = first.help;
  if (first.help) return options;
  // Behind what the recipe says, so that the command line has the last word.
  if (!first.recipe.empty()) apply_recipe(options, first.recipe);
  const std::string from_recipe = options.settings.request.instruction;
  options.settings.request.instruction.clear();
  take_instruction(options, parse_arguments(command, groups(options), arguments));
  if (options.settings.request.instruction.empty())
    options.settings.request.instruction = from_recipe;
  return options;
}

}  // namespace

std::vector<SettingGroup> edit_option_groups(EditOptions& options) {
  return {edit_group(options),          file_group(options),
          model_options(options.model), machine_options(options.model),
          output_group(options),        general_options(options.help)};
}

std::vector<SettingGroup> plan_option_groups(EditOptions& options) {
  std::vector<SettingGroup> groups = edit_option_groups(options);
  for (SettingGroup& group : groups) {
    std::erase_if(group.settings, [](const Setting& setting) {
      return setting.name == "dry-run" || setting.name.starts_with("preview");
    });
  }
  return groups;
}

std::string edit_help() {
  EditOptions options;
  return command_help(
      {"icedit edit PICTURE... \"INSTRUCTION\" [-o OUTPUT] [options]",
       "icedit edit FOLDER \"INSTRUCTION\" [-o FOLDER]", "icedit edit BATCH.jsonl [-o FOLDER]",
       "icedit edit PICTURE \"INSTRUCTION\" --then \"INSTRUCTION\" ...",
       "icedit edit EDIT --then \"INSTRUCTION\"",
       "icedit edit EDIT --without N [--image ORIGINAL]"},
      "Edits pictures by an instruction. Defaults stand in [brackets]. A line of a batch is an "
      "object:\n"
      "{\"image\": \"a.png\", \"instruction\": \"make it winter\"}.",
      edit_option_groups(options), exit_codes_help());
}

EditOptions parse_edit_options(const std::vector<std::string>& arguments) {
  EditOptions options = parse("edit", edit_option_groups, arguments);
  check_output(options);
  if (options.preview_full && options.preview_every == 0) {
    throw UsageError("--preview-full says how, --preview N says how often: give both");
  }
  return options;
}

EditOptions parse_plan_options(const std::vector<std::string>& arguments) {
  return parse("plan", plan_option_groups, arguments);
}

}  // namespace icedit::cli
