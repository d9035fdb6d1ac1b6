#pragma once
// From the command line to the options' setters.
#include <string>
#include <vector>

#include "base/setting.h"

namespace icedit::cli {

// Sets every option that is given, in the order of the table, and returns what is no option
// (everything behind "--" among it). `command`: "edit", for errors. Flags may be written with
// underscores, as Python's scripts do. Throws UsageError: an unknown option (with the nearest), a
// missing value, a bad one.
std::vector<std::string> parse_arguments(const std::string& command,
                                         const std::vector<SettingGroup>& groups,
                                         const std::vector<std::string>& arguments);

// Options that every sub-command has: --quiet and --verbose set the log's level; --help sets
// `help`.
SettingGroup general_options(bool& help);

}  // namespace icedit::cli
