#include "dist/restarts.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "dist/c10d_group.h"

namespace icedit {

std::string kept_over_restarts(const LaunchEnv& env, const std::string& key,
                               const std::function<std::string()>& make) {
  if (!env.agent_store) return make();
  std::string stored;
  try {
    c10d::TCPStoreOptions options;
    options.port = uint16_t(env.master_port);
    options.waitWorkers = false;
    options.timeout = std::chrono::minutes(1);
    c10d::PrefixStore store(str("icedit/", env.run_id),
                            c10::make_intrusive<c10d::TCPStore>(env.master_addr, options));
    if (env.restart_count > 0 && store.check({key})) return store.get_to_str(key);
    stored = make();
    store.set(key, std::vector<uint8_t>(stored.begin(), stored.end()));
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw PeerError(str("torchrun's store at ", env.master_addr, ":", env.master_port,
                        " does not answer (", first_line(error.what()), ")"));
  }
  return stored;
}

}  // namespace icedit
