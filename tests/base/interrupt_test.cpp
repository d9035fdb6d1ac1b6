#include "base/interrupt.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <initializer_list>

#include "base/error.h"

namespace icedit {
namespace {

// The exit code of a process that sends itself these signals; 7 where it outlives them.
int after(std::initializer_list<int> signals) {
  const pid_t child = fork();
  if (child == 0) {
    catch_interrupts();
    for (const int signal : signals) raise(signal);
    _exit(interrupted() ? 7 : 8);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Interrupt, ASecondCtrlCEndsTheProcessAtOnce) {
  EXPECT_EQ(after({}), 8);
  EXPECT_EQ(after({SIGINT}), 7);
  EXPECT_EQ(after({SIGINT, SIGINT}), int(ExitCode::kInterrupted));
  EXPECT_EQ(after({SIGTERM, SIGINT}), int(ExitCode::kInterrupted));
}

// systemd sends SIGTERM to torchrun and to its ranks, and torchrun hands it on: no reason not to
// save.
TEST(Interrupt, ASecondSigtermDoesNot) {
  EXPECT_EQ(after({SIGTERM, SIGTERM}), 7);
  EXPECT_EQ(after({SIGINT, SIGTERM}), 7);
}

TEST(Interrupt, TheFirstSignalIsNamed) {
  const pid_t child = fork();
  if (child == 0) {
    catch_interrupts();
    raise(SIGTERM);
    try {
      throw_if_interrupted();
    } catch (const Interrupted& error) {
      _exit(std::string(error.what()) == "stopped by SIGTERM" ? 0 : 1);
    }
    _exit(2);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace icedit
