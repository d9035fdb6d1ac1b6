#include <cstdlib>

#include "dist/c10d_group.h"

// The wheel's ProcessGroupGloo against Debian's gloo headers, which are older than the gloo inside
// the wheel; only what is tested in tests/dist is used.
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "dist/rendezvous.h"

namespace icedit {
namespace {

using c10d::ProcessGroupGloo;
using Devices = std::vector<std::shared_ptr<::gloo::transport::Device>>;

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

// GLOO_SOCKET_IFNAME names interfaces, as for torch; a run within one machine stays on its loopback
// interface.
Devices devices_for(const LaunchEnv& env) {
  if (const char* names = std::getenv("GLOO_SOCKET_IFNAME"); names && *names) {
    Devices devices;
    std::istringstream list(names);
    for (std::string name; std::getline(list, name, ',');)
      devices.push_back(ProcessGroupGloo::createDeviceForInterface(name));
    return devices;
  }
  if (is_loopback(env.master_addr)) return {ProcessGroupGloo::createDeviceForHostname("127.0.0.1")};
  return {ProcessGroupGloo::createDefaultDevice()};
}

}  // namespace

std::unique_ptr<Group> make_gloo_group(const LaunchEnv& env, const GroupOptions& options) {
  const auto store = join_store(env, options);
  try {
    auto gloo = ProcessGroupGloo::Options::create(options.join_timeout);
    gloo->devices = devices_for(env);
    auto backend = c10::make_intrusive<ProcessGroupGloo>(store, env.rank, env.world_size, gloo);
    backend->setTimeout(options.timeout);
    return std::make_unique<C10dGroup>(env, options, std::move(backend));
  } catch (const std::exception& error) {
    throw PeerError(
        str("rank ", env.rank, " of ", env.world_size, " could not connect to the others (",
            first_line(error.what()),
            "): is GLOO_SOCKET_IFNAME the network between the machines, and no firewall in it?"));
  }
}

}  // namespace icedit
