#pragma once
// The figures of many rows: a line a task, and all together.
#include <string>
#include <vector>

#include "eval/results.h"

namespace icedit {

struct TaskSummary {
  std::string task;
  int64_t rows = 0;                 // that were edited
  int64_t judged = 0;               // of them, with an edit to judge
  int64_t successes = 0;            // of those
  double l1 = 0, l2 = 0, psnr = 0;  // means over the rows
};

struct Summary {
  std::vector<TaskSummary> tasks;  // in the order of their first row; rows of no task only in total
  TaskSummary total;
  std::vector<RowResult> unreadable;
};

Summary summarise(const std::vector<RowResult>& results);

// A table for people: task, rows, success, share, L1, L2, PSNR.
std::string table_text(const Summary& summary);
// {"total": {...}, "tasks": [...], "unreadable": [...]}, indented.
std::string summary_json(const Summary& summary);

}  // namespace icedit
