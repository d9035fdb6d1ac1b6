// icedit stage: one stage alone, tensors in, tensors out.
#include <c10/core/InferenceMode.h>

#include <iostream>

#include "base/counted.h"
#include "base/error.h"
#include "base/log.h"
#include "base/nearest.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/paths.h"
#include "cli/stages.h"
#include "edit/threads.h"
#include "io/whole_folder.h"

namespace icedit::cli {
namespace {

constexpr int64_t kLongestText = 4096, kLargestSide = 65536;

SettingGroup stage_group(StageOptions& o) {
  return {
      "The stage",
      {{"in", "FILE", "safetensors with the tensors that it reads; others are ignored", "",
        into(o.in)},
       {"out, o", "FILE", "safetensors with the tensors that it writes", "", into(o.out)},
       {"force, f", "", "overwrite --out", "", into(o.force)},
       {"all", "", "every named intermediate too", "", into(o.all)},
       {"text", "FILE", "tokenize: a JSON array of texts", "", into(o.text)},
       {"clip-length", "N", "tokenize: CLIP tokens", "77", integer(o.clip_length, 2, kLongestText)},
       {"t5-length", "N", "tokenize: T5 tokens", "512", integer(o.t5_length, 1, kLongestText)},
       {"height", "PIXELS", "schedule: of the diptych", "", integer(o.height, 1, kLargestSide)},
       {"width", "PIXELS", "schedule: of the diptych, both halves", "",
        integer(o.width, 1, kLargestSide)},
       {"steps, num-inference-steps", "N", "schedule: denoising steps", "the model's",
        integer(o.steps, 1, kMostSteps)},
       {"guidance, guidance-scale", "X", "denoise: how strongly the text is followed",
        "the model's", number(o.guidance, 0, kMostGuidance)},
       {"tolerance", "X", "detail: what counts as noise, times X", "1",
        number(o.tolerance, 0.01, 100)}}};
}

std::vector<SettingGroup> groups(StageOptions& options) {
  SettingGroup model = model_options(options.model);
  for (Setting& option : model.settings) {
    if (option.name == "lora") option.fallback = "none";  // not the model's own: stages.cpp
  }
  SettingGroup machine = machine_options(options.model);
  std::erase_if(machine.settings, [](const Setting& s) {  // of edits
    return s.name == "max-memory" || s.name == "max-vram";
  });
  return {stage_group(options), model, machine, general_options(options.help)};
}

std::string stage_help() {
  StageOptions options;
  std::string table = "Stages, what they read and what they write:\n";
  for (const Stage& stage : stages())
    table += help_line("  " + stage.name, stage.reads + " -> " + stage.writes);
  return command_help(
      {"icedit stage NAME --model MODEL [--lora PATH[:SCALE]] --in X.safetensors --out "
       "Y.safetensors"},
      table + "Names and shapes are those of tests/goldens. No adapter is used but those given.",
      groups(options), exit_codes_help());
}

const Stage& find_stage(const std::vector<std::string>& rest) {
  std::vector<std::string> names;
  for (const Stage& stage : stages()) {
    if (rest.size() == 1 && rest[0] == stage.name) return stage;
    names.push_back(stage.name);
  }
  if (rest.empty()) throw UsageError(str("which stage? One of ", names));
  if (rest.size() > 1)
    throw UsageError(str("icedit stage runs one stage, but '", rest[1], "' is there too"));
  throw UsageError(str("there is no stage '", rest[0], "'", did_you_mean(rest[0], names),
                       " (there are ", names, ")"));
}

void check_files(const Stage& stage, const StageOptions& options) {
  namespace fs = std::filesystem;
  if (stage.needs_input && options.in.empty()) {
    throw UsageError(str("stage ", stage.name, " reads ", stage.reads,
                         " from --in X.safetensors, which is missing"));
  }
  if (options.out.empty()) throw UsageError("where to? Give --out Y.safetensors");
  if (!options.in.empty() && same_place(options.in) == same_place(options.out)) {
    throw UsageError(str("--out ", options.out, " is the input itself; give another name"));
  }
  expect_free(options.out, options.force, "--out");
}

std::string shape_text(const Tensor& tensor) {
  return str(tensor.sizes().vec(), " ", dtype_name(dtype_of(tensor.scalar_type())));
}

}  // namespace

int run_stage(const Arguments& arguments) {
  StageOptions options;
  const std::vector<std::string> rest = parse_arguments("stage", groups(options), arguments);
  if (options.help) {
    std::cout << stage_help();
    return 0;
  }
  const Stage& stage = find_stage(rest);
  check_files(stage, options);
  const Threads threads(options.model.threads);
  const c10::InferenceMode inference;
  const NamedTensors tensors = outputs_of(stage, options);
  for (const auto& [name, tensor] : tensors) log::verbose(str(name, "  ", shape_text(tensor)));
  const NewFiles made(options.out);
  save_tensors(made.path(), tensors);
  expect_name(options.out, made.put(made.path(), if_taken(options.force)));
  log::info(str(options.out, ": ", counted(tensors.size(), "tensor")));
  return 0;
}

}  // namespace icedit::cli
