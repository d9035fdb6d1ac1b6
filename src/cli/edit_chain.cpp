#include "cli/edit_chain.h"

#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/log.h"

namespace icedit::cli {
namespace {

// As their instructions, "1 make it night, 2 remove the cup".
std::string listed(const std::vector<StepRecord>& steps) {
  std::string text;
  for (size_t i = 0; i < steps.size(); ++i)
    text += str(i > 0 ? ", " : "", i + 1, " \"", steps[i].edit.request.instruction, "\"");
  return text;
}

bool was_changed_since(const Recipe& recipe, const std::string& picture) {
  const std::string bytes = read_file(picture);
  return was_changed(recipe, stored_pixels(as_bytes(bytes), picture));
}

void expect_no_settings(const EditOptions& options) {
  if (settings_json(options.settings) == settings_json({}) && options.settings.mask.empty()) return;
  throw UsageError(
      "--without makes every other step again with the settings that the picture's recipe holds; "
      "leave out the instruction and the options of the edit, or say with --then what is to "
      "follow");
}

void leave_out(EditJob& job, const EditOptions& options) {
  if (job.where != job.settings.image) {
    throw UsageError(str(job.where,
                         ": --without is of a picture's chain, not of a batch; name the ",
                         "picture on the command line"));
  }
  expect_no_settings(options);
  const std::string picture = job.settings.image;
  const Recipe recipe = read_recipe(picture);
  if (was_changed_since(recipe, picture)) {
    throw DataError(
        str(picture,
            " was changed by another program since icedit wrote it, and --without would "
            "lose that; go on from it with --then, or name a picture as it was written"));
  }
  const std::set<int64_t> left_out(options.without.begin(), options.without.end());
  const auto steps = static_cast<int64_t>(recipe.steps.size());
  if (*left_out.rbegin() > steps) {
    throw UsageError(str("--without ", *left_out.rbegin(), ": the chain of ", picture, " has ",
                         steps, steps == 1 ? " step: " : " steps: ", listed(recipe.steps)));
  }
  const auto output = job.settings.output;
  std::vector<EditSettings> rest;
  for (int64_t i = 0; i < steps; ++i) {
    if (left_out.count(i + 1) != 0) continue;
    const StepRecord& step = recipe.steps[i];
    rest.push_back(step.edit);
    rest.back().quality = options.settings.quality;
    if (!rest.back().quality && step.file.format != ImageFormat::kPng)
      rest.back().quality = step.file.quality;
    rest.back().mask = find_mask(recipe, static_cast<size_t>(i), picture).string();
  }
  if (rest.empty() && options.then.empty()) {
    throw UsageError(str("without ", steps == 1 ? "its one step" : "all its steps", " ", picture,
                         " is the original; leave fewer out"));
  }
  const Path original = find_original(recipe, picture, options.original);
  if (!rest.empty()) {
    job.settings = rest.front();
    job.then.assign(rest.begin() + 1, rest.end());
  }
  job.settings.output = output;
  job.settings.image = original.string();
}

// A picture without an instruction: its chain goes on, where it has one.
void go_on(EditJob& job) {
  const std::string picture = job.settings.image;
  const std::string text = read_recipe_text(picture);
  if (text.empty()) return;
  Recipe recipe = parse_recipe(text, picture);
  if (was_changed_since(recipe, picture)) {
    log::warn(
        str(picture,
            " was changed by another program since icedit wrote it; the edit is of the picture "
            "as it is, and a new chain begins with it"));
    return;
  }
  job.before = std::move(recipe);
}

}  // namespace

void plan_chain(EditJob& job, const EditOptions& options) {
  std::vector<std::string> then = options.then;
  job.chain = !then.empty() || !options.without.empty() || !job.then.empty();
  if (!options.without.empty()) leave_out(job, options);
  std::string& instruction = job.settings.request.instruction;
  if (only_space(instruction) && !then.empty()) {
    if (options.without.empty()) go_on(job);
    instruction = then.front();
    then.erase(then.begin());
  }
  if (job.chain) job.settings.request.source_size = true;
  for (const std::string& text : then) {
    job.then.push_back(job.settings);
    job.then.back().request.instruction = text;
  }
}

void complete_chain(EditJob& job) {
  if (!job.chain) return;
  if (job.settings.request.num_images > 1) {
    throw UsageError(str(job.where, ": a chain of edits has one picture a step, but num-images is ",
                         job.settings.request.num_images, "; leave it out, or the further steps"));
  }
  for (size_t i = 0; i < job.then.size(); ++i) {
    EditSettings& step = job.then[i];
    if (only_space(step.request.instruction))
      throw UsageError(str(job.where, ": step ", i + 2, " has no instruction"));
    step.seed = step.seed.value_or(*job.settings.seed);
    step.request.num_images = 1;
    step.request.source_size = true;
  }
}

}  // namespace icedit::cli
