#pragma once
// From the command line to the options' setters, and help texts, made from the same tables.
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

// "  left                 right", the right column wrapped at 100 columns.
std::string help_line(const std::string& left, const std::string& right);

// `usage`: the lines under "Usage:"; `about` stands before the options, `after` behind them.
std::string command_help(const std::vector<std::string>& usage, const std::string& about,
                         const std::vector<SettingGroup>& groups, const std::string& after = "");

std::string exit_codes_help();

}  // namespace icedit::cli
