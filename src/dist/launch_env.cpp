#include "dist/launch_env.h"

#include <charconv>
#include <cstdlib>

#include "base/error.h"

namespace icedit {
namespace {

using Variable = std::function<std::string(const char*)>;

int number(const Variable& variable, const char* name, int fallback, int least, int most) {
  const std::string text = variable(name);
  if (text.empty() && fallback >= 0) return fallback;
  if (text.empty())
    throw UsageError(str(name,
                         " is not set, though RANK or WORLD_SIZE is; start the processes with "
                         "`torchrun --no-python`, or unset both to run alone"));
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
    throw UsageError(str(name, " is '", text, "' in the environment, expected a whole number from ",
                         least, " to ", most));
  return value;
}

}  // namespace

LaunchEnv LaunchEnv::read(const Variable& variable) {
  LaunchEnv env;
  if (variable("RANK").empty() && variable("WORLD_SIZE").empty()) return env;
  constexpr int kMost = 1 << 20, kRequired = -1;
  env.world_size = number(variable, "WORLD_SIZE", kRequired, 1, kMost);
  env.rank = number(variable, "RANK", kRequired, 0, env.world_size - 1);
  env.local_rank = number(variable, "LOCAL_RANK", env.rank, 0, kMost);
  env.restart_count = number(variable, "TORCHELASTIC_RESTART_COUNT", 0, 0, kMost);
  if (const std::string id = variable("TORCHELASTIC_RUN_ID"); !id.empty()) env.run_id = id;
  env.agent_store = variable("TORCHELASTIC_USE_AGENT_STORE") == "True";  // Python's str(True)
  if (env.alone() && !env.agent_store) return env;
  env.master_addr = variable("MASTER_ADDR");
  if (env.master_addr.empty())
    throw UsageError(str("MASTER_ADDR is not set, though WORLD_SIZE is ", env.world_size,
                         "; start the processes with `torchrun --no-python`"));
  env.master_port = number(variable, "MASTER_PORT", kRequired, 1, 65535);
  return env;
}

LaunchEnv LaunchEnv::read() {
  return read([](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  });
}

}  // namespace icedit
