#pragma once
// Several edits in a row: --then goes on with a picture, --without leaves out a step of its chain.
#include "cli/edit_jobs.h"

namespace icedit::cli {

// Fills in what a job's chain begins with and goes on with. Called before the job has its seed.
// Throws UsageError (a step that the chain does not have, settings beside --without), DataError
// (no recipe, a picture that was changed since), NoInputError (its original or a mask is not
// there).
void plan_chain(EditJob& job, const EditOptions& options);

// Every step with what all steps share; called once the job has its seed. Throws UsageError.
void complete_chain(EditJob& job);

// How many of the chain's steps an earlier run has made: files of the same original and
// instructions, as icedit wrote them; not all. `recipe`: what the chain begins with, and then the
// last one's.
size_t steps_there(const EditJob& job, Recipe& recipe);

}  // namespace icedit::cli
