#pragma once
// The seam between server.cpp, which accepts connections (Asio), and connection.cpp, which speaks
// HTTP on them (Beast, whose templates are compiled there alone); private to this folder.
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "http/server.h"

namespace icedit::http {

using Executor = boost::asio::io_context::executor_type;
template <class T>
using Task = boost::asio::awaitable<T, Executor>;
using Timer = boost::asio::basic_waitable_timer<
    std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

inline auto into(boost::system::error_code& error) {
  return boost::asio::redirect_error(boost::asio::use_awaitable_t<Executor>(), error);
}

// What a connection knows of its server.
struct Shared {
  const Limits limits;
  const Gate gate;
  const Handler handler;
  const Refusal refusal;
  std::optional<boost::asio::ssl::context> tls = {};  // connections are encrypted
  std::atomic<uint64_t> connections{0}, requests{0}, refused{0}, malformed{0}, bodies{0};
  std::atomic<int> answering{0};
};

// A server's certificate and key for encrypted connections (OpenSSL, TLS 1.2 and 1.3; tls.cpp).
// Throws UsageError naming the file: no certificate, no key or an encrypted one, or a key that is
// another certificate's.
boost::asio::ssl::context tls_context(const Certificate& files);

// All that happens on a connection, on the thread of all connections.
Task<void> serve_connection(Shared& shared, boost::asio::io_context& context,
                            boost::asio::thread_pool& handlers, boost::asio::ip::tcp::socket socket,
                            std::string address);

}  // namespace icedit::http
