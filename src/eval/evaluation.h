#pragma once
// Edits the rows of a data set and compares the edits with what was wanted.
#include <vector>

#include "data/rows.h"
#include "edit/pipeline.h"
#include "eval/summary.h"

namespace icedit {

struct EvalOptions {
  // What every edit is made with. Row i of the data has the seed edit.seed + i, whatever rows are
  // left out and however many are edited together.
  EditRequest edit;
  int64_t limit = 0;  // rows; 0: all
  int64_t every = 1;  // takes the rows 0, every, 2 every, ...
  int64_t batch = 1;  // Editor::set_batch
  int64_t group = 1;  // rows that are read before the first is edited; at least a batch is
};

// Figures of all the rows that the options take, in their order. With a folder (nullptr: without)
// rows that are done there are left out of the work, each further one is kept there as soon as it
// is edited, and sheet-NN.png and summary.json are written at the end. A row that cannot be read
// (its pictures, no instruction, a shape that cannot be edited) is passed over with a warning, and
// listed. Throws DataError where there is no row, or none that can be read; UsageError for options
// that fit no picture; Interrupted.
std::vector<RowResult> evaluate(Editor& editor, const EditRows& rows, const EvalOptions& options,
                                ResultFolder* folder);

}  // namespace icedit
