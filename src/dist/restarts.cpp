#include "dist/restarts.h"

#include <torch/csrc/distributed/c10d/Store.hpp>

#include "dist/rendezvous.h"
#include "dist/waiting.h"

namespace icedit {

Kept kept_over_restarts(const LaunchEnv& env, const std::string& key,
                        const std::function<std::string()>& make) {
  if (!env.agent_store) return {make()};
  Kept kept;
  try {
    Waiting waiting(env, std::chrono::minutes(1));
    const auto store = connect_store(env, waiting);
    // Not the restart count says so: it stays 0 on a machine whose own ranks did not fail.
    if (store->check({key})) return {store->get_to_str(key), true};
    kept.value = make();
    store->set(key, kept.value);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw PeerError(str("torchrun's store at ", env.master_addr, ":", env.master_port,
                        " does not answer (", first_line(error.what()), ")"));
  }
  return kept;
}

}  // namespace icedit
