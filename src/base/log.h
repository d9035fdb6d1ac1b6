#pragma once
// Lines for people, on stderr. stdout is for results only.
#include <string>

namespace icedit::log {

enum class Level { kQuiet, kNormal, kVerbose };

// kQuiet keeps warnings and errors. Set once at start, before threads.
void set_level(Level level);
Level level();

void info(const std::string& line);     // what is being done
void warn(const std::string& line);     // "warning: ..." something the user should know
void error(const std::string& line);    // "icedit: error: ..."
void verbose(const std::string& line);  // with --verbose only

}  // namespace icedit::log
