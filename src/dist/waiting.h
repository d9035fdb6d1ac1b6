#pragma once
// Waiting for another process: heeds a signal, gives up in time, and says for whom it waits.
#include <chrono>
#include <string>

#include "dist/launch_env.h"

namespace icedit {

class Waiting {
 public:
  Waiting(const LaunchEnv& env, std::chrono::milliseconds timeout);

  // Sleeps for a moment. Says "rank 1 waits for WHOM at HOST:PORT (REASON)" once, after some
  // seconds. Throws Interrupted; std::runtime_error with all of these after the timeout.
  void pause(const std::string& whom, std::chrono::milliseconds moment,
             const std::string& reason = "");
  std::chrono::milliseconds left() const;

 private:
  const LaunchEnv& env_;
  std::chrono::milliseconds timeout_;
  std::chrono::steady_clock::time_point start_, until_;
  bool said_ = false;
};

}  // namespace icedit
