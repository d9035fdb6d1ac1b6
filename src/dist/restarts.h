#pragma once
// What outlives the ranks: torchrun's agent serves a key-value store, and starts ranks anew beside
// it.
#include <functional>
#include <string>

#include "dist/launch_env.h"

namespace icedit {

struct Kept {
  std::string value;
  bool from_before = false;  // an earlier attempt of this launch had stored it
};

// What the first attempt of this launch stored under `key`; in the first attempt make()'s value,
// which is stored. Without torchrun's store nothing is kept: make(). One rank calls it. Throws
// PeerError: the store does not answer.
Kept kept_over_restarts(const LaunchEnv& env, const std::string& key,
                        const std::function<std::string()>& make);

}  // namespace icedit
