#include "dist/waiting.h"

#include <algorithm>
#include <stdexcept>
#include <thread>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/str.h"

namespace icedit {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto kQuiet = std::chrono::seconds(5);  // before it is said that somebody is waited for

}  // namespace

Waiting::Waiting(const LaunchEnv& env, milliseconds timeout)
    : env_(env), timeout_(timeout), start_(steady_clock::now()), until_(start_ + timeout) {}

milliseconds Waiting::left() const {
  return std::max(milliseconds(1),
                  std::chrono::duration_cast<milliseconds>(until_ - steady_clock::now()));
}

void Waiting::pause(const std::string& whom, milliseconds moment, const std::string& reason) {
  throw_if_interrupted();
  const auto now = steady_clock::now();
  if (now > until_)
    throw std::runtime_error(str(whom, " did not come within ", double(timeout_.count()) / 1000,
                                 " s", reason.empty() ? "" : "; ", reason));
  if (!said_ && now - start_ > kQuiet) {
    said_ = true;  // a warning, since other ranks than the first say nothing else
    log::warn(str("rank ", env_.rank, " of ", env_.world_size, " waits for ", whom, " at ",
                  env_.master_addr, ":", env_.master_port,
                  reason.empty() ? "" : str(" (", reason, ")")));
  }
  std::this_thread::sleep_for(moment);
}

}  // namespace icedit
