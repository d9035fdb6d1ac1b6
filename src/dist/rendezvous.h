#pragma once
// How the ranks find each other: over a key-value store that all of them reach.
#include "dist/group.h"

namespace c10d {
class Store;
}

namespace icedit {

class Waiting;

// The store of torchrun's agent, or one that rank 0 serves. Throws what c10d and Waiting throw.
c10::intrusive_ptr<c10d::Store> connect_store(const LaunchEnv& env, Waiting& waiting);

// Waits until all ranks are there; what they then write is theirs alone, so that ranks that were
// started anew do not meet their past in an agent's store. (torchrun's restart count does not tell
// rounds apart: it differs between machines when the ranks of one of them failed.) Throws
// PeerError, Interrupted.
c10::intrusive_ptr<c10d::Store> join_store(const LaunchEnv& env, const GroupOptions& options);

// "REASON" of a c10d or Gloo exception: its first line, without the trace.
std::string first_line(const std::string& text);

}  // namespace icedit
