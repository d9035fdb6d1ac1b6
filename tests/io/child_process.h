#pragma once
// Tests of what two processes do to each other.
#include <sys/wait.h>
#include <unistd.h>

namespace icedit {

// Runs `work` in another process; whether it returned true.
template <class Work>
pid_t start(const Work& work) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  bool ok = false;
  try {
    ok = work();
  } catch (...) {
  }
  ::_exit(ok ? 0 : 1);
}

inline bool ended_well(pid_t child) {
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace icedit
