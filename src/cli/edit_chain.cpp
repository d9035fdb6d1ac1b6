#include "cli/edit_chain.h"

#include <algorithm>
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

// Whether this is the recipe of the job's first `steps` steps, on what `begin` holds.
bool is_of_chain(const Recipe& there, const EditJob& job, const Recipe& begin, size_t steps) {
  const size_t before = begin.steps.size();
  if (there.source.sha256 != begin.source.sha256 || there.steps.size() != before + steps)
    return false;
  for (size_t i = 0; i < steps; ++i) {
    const EditRequest& made = there.steps[before + i].edit.request;
    if (made.instruction != job.step(i).request.instruction) return false;
  }
  return true;
}

}  // namespace

void plan_chain(EditJob& job, const EditOptions& options) {
  std::vector<std::string> then = options.then;
  job.chain = !then.empty() || !options.without.empty() || !job.then.empty();
  const auto is_small = [](const EditSettings& s) { return s.model_size; };
  if (job.chain &&
      (is_small(job.settings) || std::any_of(job.then.begin(), job.then.end(), is_small))) {
    throw UsageError(located(job,
                             "--output-size model makes small pictures, but the steps of a chain "
                             "are made at the photo's own size; leave it out"));
  }
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

size_t steps_there(const EditJob& job, Recipe& recipe) {
  for (size_t steps = job.steps() - 1; steps > 0; --steps) {
    const std::string file = job.outputs[steps - 1].string();
    const std::string text = is_taken(file) ? read_recipe_text(file) : "";
    if (text.empty()) continue;
    Recipe there = parse_recipe(text, file);
    if (!is_of_chain(there, job, recipe, steps) || was_changed_since(there, file)) continue;
    recipe = std::move(there);
    return steps;
  }
  return 0;
}

}  // namespace icedit::cli
