#pragma once
// Waiting for another process: heeds a signal, gives up in time, and says for whom it waits.
#include <chrono>
#include <string>

#include "dist/launch_env.h"

namespace icedit {

class Waiting {
 public:
  Waiting(const LaunchEnv& env, std::chrono::milliseconds timeout);

  // Sleeps for a moment. Says "rank 1 waits for WHOM at HOST:PORT" once, after some seconds. Throws
  // Interrupted; std::runtime_error with WHOM after the timeout.
  void pause(const std::string& whom, std::chrono::milliseconds moment);
  std::chrono::milliseconds left() const;

 private:
  const LaunchEnv& env_;
  std::chrono::steady_clock::time_point start_, until_;
  bool said_ = false;
};

// Waits until something listens at MASTER_ADDR:MASTER_PORT. (c10d's own client logs a stack trace
// when a signal comes while it tries, and goes on trying.) Throws as Waiting::pause.
void wait_for_listener(const LaunchEnv& env, const std::string& whom, Waiting& waiting);

}  // namespace icedit
