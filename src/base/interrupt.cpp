#include "base/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <csignal>

#include "base/error.h"

namespace icedit {
namespace {

volatile std::sig_atomic_t received = 0;

void on_signal(int signal) {
  // Not at a second SIGTERM: supervisors send it to a group and to its members.
  if (received != 0 && signal == SIGINT) _exit(static_cast<int>(ExitCode::kInterrupted));
  if (received == 0) received = signal;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A write beyond `ulimit -f` is then an error like that of a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
}

bool interrupted() {
  return received != 0;
}

void throw_if_interrupted() {
  if (received != 0) {
    throw Interrupted(received == SIGTERM ? "stopped by SIGTERM" : "stopped by Ctrl+C");
  }
}

}  // namespace icedit
