#include "http/server.h"

#include <sys/resource.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <map>
#include <thread>

#include "base/error.h"
#include "http/connection.h"

namespace icedit::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr int kFiles = 4096;

// An IPv4 address is written as one, also where the server listens on "::".
std::string text_of(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  return address.to_string();
}

}  // namespace

struct Server::Impl {
  Impl(const Limits& limits, Gate gate, Handler handler, Refusal refusal,
       const std::optional<Certificate>& certificate)
      : shared{limits, std::move(gate), std::move(handler), std::move(refusal)} {
    if (certificate) shared.tls.emplace(tls_context(*certificate));
  }
  void listen(const std::string& host, uint16_t wanted);
  Task<void> accept();
  Task<void> serve(tcp::socket socket, std::string address);

  Shared shared;
  std::map<std::string, int> by_address;
  // Connections end with it, and use what stands above.
  asio::io_context context{1};
  asio::thread_pool handlers{static_cast<size_t>(shared.limits.handler_threads)};
  std::optional<asio::basic_socket_acceptor<tcp, Executor>> acceptor;
  std::jthread thread;
};

void Server::Impl::listen(const std::string& host, uint16_t wanted) {
  error_code error;
  const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
  if (error)
    throw UsageError(str("--host is '", host, "', expected an address such as 127.0.0.1 or ::"));
  const tcp::endpoint endpoint(address, wanted);
  acceptor.emplace(context.get_executor());
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error == asio::error::address_in_use) {
    throw IoError(str("port ", wanted, " of ", host,
                      " is taken by another program; give another with --port"));
  }
  if (error) throw IoError(str(host, ", port ", wanted, ": ", error.message()));
}

Task<void> Server::Impl::accept() {
  Timer pause(context.get_executor());
  for (;;) {
    error_code error;
    tcp::socket socket(context);
    co_await acceptor->async_accept(socket, into(error));
    if (error == asio::error::operation_aborted) co_return;
    if (error) {  // no more files, for a while
      pause.expires_after(milliseconds(100));
      co_await pause.async_wait(into(error));
      continue;
    }
    const tcp::endpoint peer = socket.remote_endpoint(error);
    if (error) continue;
    const std::string address = text_of(peer.address());
    if (int(shared.connections) >= shared.limits.connections ||
        by_address[address] >= shared.limits.connections_per_address) {
      ++shared.refused;
      continue;  // closed at once: an answer would be work
    }
    asio::co_spawn(context, serve(std::move(socket), address), asio::detached);
  }
}

Task<void> Server::Impl::serve(tcp::socket socket, std::string address) {
  ++shared.connections;
  ++by_address[address];
  co_await serve_connection(shared, context, handlers, std::move(socket), address);
  --shared.connections;
  if (--by_address[address] == 0) by_address.erase(address);
}

Server::Server(const std::string& host, uint16_t port, const Limits& limits, Gate gate,
               Handler handler, Refusal refusal, const std::optional<Certificate>& certificate)
    : impl_(std::make_unique<Impl>(limits, std::move(gate), std::move(handler), std::move(refusal),
                                   certificate)) {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < kFiles) {
    files.rlim_cur = std::min<rlim_t>(kFiles, files.rlim_max);
    setrlimit(RLIMIT_NOFILE, &files);
  }
  impl_->listen(host, port);
  asio::co_spawn(impl_->context, impl_->accept(), asio::detached);
  impl_->thread = std::jthread([impl = impl_.get()] { impl->context.run(); });
}

Server::~Server() {
  impl_->handlers.join();
  impl_->context.stop();
  impl_->thread.join();
}

uint16_t Server::port() const {
  return impl_->acceptor->local_endpoint().port();
}

Counts Server::counts() const {
  return {impl_->shared.connections, impl_->shared.requests, impl_->shared.refused,
          impl_->shared.malformed};
}

void Server::finish(milliseconds most) {
  const auto end = std::chrono::steady_clock::now() + most;
  while (impl_->shared.answering > 0 && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(milliseconds(10));
}

}  // namespace icedit::http
