#pragma once
// The sub-commands, one file each.
#include <string>
#include <vector>

namespace icedit::cli {

using Arguments = std::vector<std::string>;  // what stands behind the sub-command's name

// Each returns the exit code, or throws (base/error.h).
int run_bench(const Arguments& arguments);
int run_convert(const Arguments& arguments);
int run_data(const Arguments& arguments);
int run_edit(const Arguments& arguments);
int run_eval(const Arguments& arguments);
int run_inspect(const Arguments& arguments);
int run_plan(const Arguments& arguments);
int run_reproduce(const Arguments& arguments);
int run_serve(const Arguments& arguments);
int run_stage(const Arguments& arguments);
int run_train(const Arguments& arguments);

struct Command {
  std::string name, summary;
  int (*run)(const Arguments& arguments);
};

const std::vector<Command>& commands();

// Runs the sub-command that the first argument names; --help, --version and help are answered here.
// Throws UsageError for an unknown one, with the nearest.
int run_command(const Arguments& arguments);

}  // namespace icedit::cli
