#pragma once
// What `icedit plan` and `icedit plan train` print: ways to run something, with what each takes.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "edit/residency.h"

namespace icedit::cli {

struct PlanRow {
  std::string precision, residency;
  uint64_t peak = 0;   // bytes of the process
  double seconds = 0;  // of an edit, or of a training step
  std::string flags;   // what asks for it
};

// What the transformer is computed in: "int8", "bfloat16", or of a quantised file "I8, bfloat16" or
// "Q4_0 in int8, bfloat16".
std::string precision_name(const Residency& residency);

// A command to be pasted, with a row's flags in it.
using CommandWith = std::function<std::string(const std::string& flags)>;
// The words of the plan, each behind a space, without its own --json; flags stand before a "--".
std::string with_flags(const std::vector<std::string>& words, const std::string& flags);

// As a table, or as JSON: rows, those that fit into the memory that is available, and the command
// with the flags of the fastest of these. `what`: "edit" or "step". `reading`: what each takes more
// while the model's files are not in the system's memory, seconds.
void print_plan(const std::vector<PlanRow>& rows, const std::string& what,
                const CommandWith& command, bool json, double reading = 0);

// icedit plan train CONFIG.
int run_plan_train(const std::vector<std::string>& arguments);

}  // namespace icedit::cli
