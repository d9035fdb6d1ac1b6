#include "dist/port.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "dist/group.h"

namespace icedit {
namespace {

constexpr int kTryMs = 250;  // for one address to answer
constexpr int kBacklog = 2048;

// The first messages of c10d's client, as bytes: VALIDATE with its magic number, PING with a number
// that a store sends back (torch/csrc/distributed/c10d/TCPStore.cpp).
constexpr unsigned char kHello[] = {0, 0xce, 0xf7, 0x85, 0x3c, 13, 'i', 'c', 'e', 'd'};
constexpr size_t kEcho = 4;  // the last of them

enum class Answer { kNone, kOther, kStore };

class Socket {
 public:
  explicit Socket(int family)
      : fd_(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  bool ready(short events) const {
    pollfd wait = {fd_, events, 0};
    return ::poll(&wait, 1, kTryMs) == 1;
  }

 private:
  int fd_;
};

Answer ask(const addrinfo& address) {
  const Socket socket(address.ai_family);
  if (socket.get() < 0) return Answer::kNone;
  if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) != 0) {
    int error = errno;
    socklen_t size = sizeof error;
    if (error != EINPROGRESS || !socket.ready(POLLOUT)) return Answer::kNone;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return Answer::kNone;
  }
  char echo[kEcho];
  ::send(socket.get(), kHello, sizeof kHello, MSG_NOSIGNAL);
  if (!socket.ready(POLLIN)) return Answer::kOther;
  const ssize_t got = ::recv(socket.get(), echo, sizeof echo, 0);
  const bool same = got == kEcho && std::memcmp(echo, std::end(kHello) - kEcho, kEcho) == 0;
  return same ? Answer::kStore : Answer::kOther;
}

// Why no store answers; "": one does. The name is looked up each time: that of a machine that
// starts may come later.
std::string obstacle(const LaunchEnv& env) {
  addrinfo hints = {}, *first = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  const std::string port = std::to_string(env.master_port);
  const int error = ::getaddrinfo(env.master_addr.c_str(), port.c_str(), &hints, &first);
  if (error != 0) return str("the name is not known here: ", ::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(first, &::freeaddrinfo);
  std::string reason = "nothing answers there";
  for (const addrinfo* one = first; one != nullptr; one = one->ai_next) {
    const Answer answer = ask(*one);
    if (answer == Answer::kStore) return "";
    if (answer == Answer::kOther) reason = "something else answers there; is the port another's?";
  }
  return reason;
}

}  // namespace

int listen_at(const LaunchEnv& env) {
  const auto port = htons(uint16_t(env.master_port));
  const int yes = 1, no = 0;
  Socket both(AF_INET6), old(AF_INET);
  sockaddr_in6 any6 = {};
  any6.sin6_family = AF_INET6, any6.sin6_port = port;
  sockaddr_in any4 = {};
  any4.sin_family = AF_INET, any4.sin_port = port;
  const auto listens = [&](const Socket& socket, const void* address, socklen_t size) {
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    return ::bind(socket.get(), static_cast<const sockaddr*>(address), size) == 0 &&
           ::listen(socket.get(), kBacklog) == 0;
  };
  ::setsockopt(both.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  if (listens(both, &any6, sizeof any6)) return both.release();
  if (listens(old, &any4, sizeof any4)) return old.release();
  throw PeerError(str("rank 0 of ", env.world_size, " cannot serve the others at port ",
                      env.master_port, ": ", std::strerror(errno),
                      "; does another run use it? Give another MASTER_PORT to all ranks"));
}

void wait_for_store(const LaunchEnv& env, const std::string& whom, Waiting& waiting) {
  for (std::string reason = obstacle(env); !reason.empty(); reason = obstacle(env))
    waiting.pause(whom, std::chrono::milliseconds(100), reason);
}

}  // namespace icedit
