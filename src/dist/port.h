#pragma once
// The port at which the ranks' key-value store is served.
#include "dist/launch_env.h"
#include "dist/waiting.h"

namespace icedit {

// A socket of this machine that listens at the port, for c10d to serve. Throws PeerError: it is
// taken.
int listen_at(const LaunchEnv& env);

// Waits until a store answers at MASTER_ADDR:MASTER_PORT. (c10d's own client logs a stack trace at
// every try, heeds no signal, and waits for ever where something else listens there in silence.)
// Throws as Waiting::pause.
void wait_for_store(const LaunchEnv& env, const std::string& whom, Waiting& waiting);

}  // namespace icedit
