#pragma once
// A connection's bytes, encrypted or not: what connection.cpp, which alone includes this, reads and
// writes.
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <optional>
#include <utility>

#include "http/connection.h"

namespace icedit::http {

using Plain = boost::beast::basic_stream<boost::asio::ip::tcp, Executor>;

// An AsyncStream of Asio's and Beast's.
class Wire {
 public:
  using executor_type = Executor;

  Wire(const Executor& executor, std::optional<boost::asio::ssl::context>& tls) : plain_(executor) {
    if (tls) tls_.emplace(plain_, *tls);
  }
  Executor get_executor() { return plain_.get_executor(); }
  Plain& plain() { return plain_; }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return tls_ ? tls_->async_read_some(buffers, std::forward<Token>(token))
                : plain_.async_read_some(buffers, std::forward<Token>(token));
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return tls_ ? tls_->async_write_some(buffers, std::forward<Token>(token))
                : plain_.async_write_some(buffers, std::forward<Token>(token));
  }
  Task<void> begin(boost::system::error_code& error) {
    if (tls_) co_await tls_->async_handshake(boost::asio::ssl::stream_base::server, into(error));
  }
  // Says that nothing more is sent.
  Task<void> end() {
    boost::system::error_code ignored;
    if (tls_) co_await tls_->async_shutdown(into(ignored));
    plain_.socket().shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
  }

 private:
  Plain plain_;
  std::optional<boost::asio::ssl::stream<Plain&>> tls_;
};

}  // namespace icedit::http
