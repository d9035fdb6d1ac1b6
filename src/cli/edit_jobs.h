#pragma once
// From inputs and options to one job a picture, with every file name decided and checked before a
// model is loaded.
#include <string>
#include <vector>

#include "cli/edit_options.h"
#include "edit/recipe.h"

namespace icedit::cli {

struct EditJob {
  EditSettings settings;  // complete: the seed is set, paths are relative to the working folder
  std::vector<EditSettings> then;  // further edits, each of the full-size result of the one before
  Recipe before;                   // the chain that this goes on with: no steps where it begins
  std::vector<Path> outputs;       // one a picture of num_images, or one a step of a chain
  std::string where;               // "edits.jsonl, line 3", or the input
  bool any_name = false;  // the outputs' names are not the user's: the next will do as well

  bool chain = false;  // of full-size steps, each in a file of its own

  size_t steps() const { return 1 + then.size(); }
  // Of a step, from 0.
  const EditSettings& step(size_t i) const { return i == 0 ? settings : then[i - 1]; }
};

// What is wrong with a job, with the line of the batch that it is from.
std::string located(const EditJob& job, const std::string& message);

// Throws NoInputError (an input that is not there, a folder without pictures), UsageError (no
// instruction; outputs that exist, coincide or are inputs; a bad line of a batch), IoError (a
// folder that cannot be written to).
std::vector<EditJob> plan_jobs(const EditOptions& options);

}  // namespace icedit::cli
