#include "dist/waiting.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
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
constexpr int kTryMs = 250;                       // for one address to answer

bool answers(const addrinfo& address) {
  const int fd = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  bool connected = ::connect(fd, address.ai_addr, address.ai_addrlen) == 0;
  if (!connected && errno == EINPROGRESS) {
    pollfd wait = {fd, POLLOUT, 0};
    int error = 0;
    socklen_t size = sizeof error;
    connected = ::poll(&wait, 1, kTryMs) == 1 &&
                ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
  }
  ::close(fd);
  return connected;
}

// Looked up each time: the name of a machine that starts may come later.
bool is_listening(const LaunchEnv& env) {
  addrinfo hints = {}, *first = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  const std::string port = std::to_string(env.master_port);
  if (::getaddrinfo(env.master_addr.c_str(), port.c_str(), &hints, &first) != 0) return false;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(first, &::freeaddrinfo);
  for (const addrinfo* one = first; one != nullptr; one = one->ai_next)
    if (answers(*one)) return true;
  return false;
}

}  // namespace

Waiting::Waiting(const LaunchEnv& env, milliseconds timeout)
    : env_(env), start_(steady_clock::now()), until_(start_ + timeout) {}

milliseconds Waiting::left() const {
  return std::max(milliseconds(1),
                  std::chrono::duration_cast<milliseconds>(until_ - steady_clock::now()));
}

void Waiting::pause(const std::string& whom, milliseconds moment) {
  throw_if_interrupted();
  const auto now = steady_clock::now();
  if (now > until_) throw std::runtime_error(whom + " did not come");
  if (!said_ && now - start_ > kQuiet) {
    said_ = true;  // a warning, since other ranks than the first say nothing else
    log::warn(str("rank ", env_.rank, " of ", env_.world_size, " waits for ", whom, " at ",
                  env_.master_addr, ":", env_.master_port));
  }
  std::this_thread::sleep_for(moment);
}

void wait_for_listener(const LaunchEnv& env, const std::string& whom, Waiting& waiting) {
  while (!is_listening(env)) waiting.pause(whom, milliseconds(100));
}

}  // namespace icedit
