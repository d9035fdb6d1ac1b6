#pragma once
// How the ranks find each other, over a key-value store that all of them reach; and what outlives
// them: torchrun's agent serves such a store, and starts ranks anew beside it.
#include <functional>
#include <string>

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

struct Kept {
  std::string value;
  bool from_before = false;  // an earlier attempt of this launch had stored it
};

// What the first attempt of this launch stored under `key`; in the first attempt make()'s value,
// which is stored. Without torchrun's store nothing is kept: make(). One rank calls it. Throws
// PeerError: the store does not answer.
Kept kept_over_restarts(const LaunchEnv& env, const std::string& key,
                        const std::function<std::string()>& make);

// "REASON" of a c10d or Gloo exception: its first line, without the trace.
std::string first_line(const std::string& text);

}  // namespace icedit
