#pragma once
// Help texts, made from the tables of options.
#include <string>
#include <vector>

#include "base/setting.h"

namespace icedit::cli {

// "  left                 right", the right column wrapped at 100 columns.
std::string help_line(const std::string& left, const std::string& right);

// `usage`: the lines under "Usage:"; `about` stands before the options, `after` behind them.
std::string command_help(const std::vector<std::string>& usage, const std::string& about,
                         const std::vector<SettingGroup>& groups, const std::string& after = "");

std::string exit_codes_help();

}  // namespace icedit::cli
