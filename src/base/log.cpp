#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace icedit::log {
namespace {

Level current_level = Level::kNormal;

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = std::make_shared<spdlog::logger>("icedit",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->set_level(spdlog::level::trace);
    return made;
  }();
  return *instance;
}

}  // namespace

void set_level(Level level) {
  current_level = level;
}
Level level() {
  return current_level;
}

void info(const std::string& line) {
  if (current_level != Level::kQuiet) logger().info("{}", line);
}
void warn(const std::string& line) {
  logger().warn("warning: {}", line);
}
void error(const std::string& line) {
  logger().error("icedit: error: {}", line);
}
void verbose(const std::string& line) {
  if (current_level == Level::kVerbose) logger().debug("{}", line);
}

}  // namespace icedit::log
