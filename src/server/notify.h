#pragma once
// systemd's readiness protocol, sd_notify(3): a datagram to the socket in NOTIFY_SOCKET.
#include <string>

namespace icedit::server {

// "READY=1", "STOPPING=1". Does nothing where no supervisor asked.
void notify_supervisor(const std::string& state);

}  // namespace icedit::server
