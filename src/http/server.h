#pragma once
// HTTP/1.1 connections: requests in, answers out, with a limit on everything that a client may use
// up. Boost.Beast and Asio stay in server.cpp.
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "http/exchange.h"

namespace icedit::http {

struct Limits {
  uint64_t body = uint64_t{50} << 20;     // bytes of one request
  uint64_t bodies = uint64_t{512} << 20;  // of all that are being read or answered
  uint32_t head = 32 << 10;               // bytes of a request's line and headers
  int connections = 1024;
  int connections_per_address = 256;
  int handler_threads = 2;
  std::chrono::milliseconds head_time{10'000};   // for all of a request's head
  std::chrono::milliseconds body_time{60'000};   // for all of its body
  std::chrono::milliseconds idle_time{60'000};   // between two requests
  std::chrono::milliseconds write_time{60'000};  // for an answer, and as much again each 4 MiB
  uint64_t unread = uint64_t{64} << 20;  // bytes of an answer that a client has not taken yet
};

// PEM files: the certificate with those that vouch for it, and its private key.
struct Certificate {
  std::string chain, key;
};

// Called for every request, on one of a few threads; it must not wait for an edit.
using Handler = std::function<void(std::shared_ptr<Exchange>)>;
// Asked on a request's head, before its body is read: an answer refuses it.
using Gate = std::function<std::optional<Response>(const Request& head)>;
// What a request that is no HTTP, or beyond a limit, is answered with.
using Refusal = std::function<Response(int status, const std::string& why)>;

struct Counts {
  uint64_t connections = 0;  // now
  uint64_t requests = 0;     // so far
  uint64_t refused = 0;      // connections beyond the limits, so far
  uint64_t malformed = 0;    // what was no HTTP, or beyond a limit, so far
};

class Server {
 public:
  // Listens from here on. `port` 0: one that is free. With a certificate connections are encrypted.
  // Throws UsageError for an address that is none or not this machine's, or a certificate that is
  // none, IoError where the port is taken.
  Server(const std::string& host, uint16_t port, const Limits& limits, Gate gate, Handler handler,
         Refusal refusal, const std::optional<Certificate>& certificate = {});
  ~Server();  // ends all connections

  uint16_t port() const;
  Counts counts() const;
  // Waits until what was answered has been sent, at most so long.
  void finish(std::chrono::milliseconds most);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace icedit::http
