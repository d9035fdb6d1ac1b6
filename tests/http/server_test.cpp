// Real connections to a server in this process: what is answered, what is refused, what is noticed.
#include "http/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "base/error.h"
#include "http/form.h"

namespace icedit::http {
namespace {

using namespace std::chrono_literals;

class Client {
 public:
  explicit Client(uint16_t port, const char* from = nullptr)
      : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    timeval most{5, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    if (from != nullptr) {
      inet_pton(AF_INET, from, &address.sin_addr);
      bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    }
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    address.sin_port = htons(port);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { leave(); }
  Client(const Client&) = delete;

  void send(const std::string& text) { ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
  void leave() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  void end() { shutdown(fd_, SHUT_WR); }
  // Until the server closes, or `until` is there.
  std::string read(const std::string& until = "\n no such thing") {
    std::string all;
    char buffer[65536];
    while (all.find(until) == std::string::npos) {
      const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
      if (got <= 0) break;
      all.append(buffer, size_t(got));
    }
    return all;
  }

 private:
  int fd_;
  bool connected_ = false;
};

Response refusal(int status, const std::string& why) {
  return {status, "text/plain", why};
}

class HttpServer : public ::testing::Test {
 protected:
  void start(Handler handler, Limits limits = quick(), Gate gate = {}) {
    if (!gate) gate = [](const Request&) { return std::optional<Response>(); };
    server_ = std::make_unique<Server>("127.0.0.1", 0, limits, gate, std::move(handler), refusal);
  }
  static Limits quick() {
    Limits limits;
    limits.head_time = 400ms;
    limits.body_time = 600ms;
    limits.idle_time = 500ms;
    return limits;
  }
  uint16_t port() const { return server_->port(); }
  std::string ask(const std::string& request) const {
    Client client(port());
    client.send(request);
    return client.read();
  }
  bool answers() const {
    return ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .starts_with("HTTP/1.1 200");
  }

  std::unique_ptr<Server> server_;
};

Handler echo() {
  return [](const std::shared_ptr<Exchange>& exchange) {
    const Request& r = exchange->request;
    exchange->respond({200, "text/plain", r.method + " " + r.path + "|" + r.query + "|" + r.body});
  };
}

TEST_F(HttpServer, AnswersOneAfterTheOtherOnAConnection) {
  start(echo());
  Client client(port());
  client.send("GET /a?b=%2e HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(client.read("GET /a|b=%2e|").find("200 OK"), std::string::npos);
  client.send("POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz");
  EXPECT_NE(client.read("POST /c||xyz").find("200 OK"), std::string::npos);
  client.send(
      "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
      "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
  EXPECT_NE(client.read().find("POST /c||abc"), std::string::npos);
  Client head(port());
  head.send("HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string answer = head.read();
  EXPECT_NE(answer.find("Content-Length: 9"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
}

TEST_F(HttpServer, StreamsPiecesAsTheyCome) {
  std::shared_ptr<Exchange> kept;
  std::atomic<bool> there{false};
  start([&](std::shared_ptr<Exchange> exchange) {
    kept = std::move(exchange);
    kept->begin({200, "text/event-stream", "", {}});
    kept->send(event_text("one", "1"));
    there = true;
  });
  Client client(port());
  client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_NE(client.read("data: 1").find("Transfer-Encoding: chunked"), std::string::npos);
  while (!there) std::this_thread::sleep_for(1ms);
  kept->send(event_text("two", "2"));
  kept->end();
  const std::string rest = client.read();
  EXPECT_NE(rest.find("event: two\ndata: 2\n\n"), std::string::npos) << rest;
  EXPECT_TRUE(rest.ends_with("0\r\n\r\n")) << rest;
  kept.reset();
}

TEST_F(HttpServer, NoticesAClientThatLeaves) {
  std::shared_ptr<Exchange> kept;
  std::atomic<int> told{0};
  start([&](std::shared_ptr<Exchange> exchange) {
    kept = std::move(exchange);
    kept->on_leave([&] { ++told; });
  });
  Client client(port());
  // Even one that has sent more than it should.
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP");
  std::this_thread::sleep_for(300ms);
  EXPECT_EQ(told, 0);
  client.leave();
  for (int i = 0; i < 300 && told == 0; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(kept->left());
  kept.reset();
}

TEST_F(HttpServer, AnExchangeThatIsForgottenIsAnswered) {
  start([](const std::shared_ptr<Exchange>&) {});
  EXPECT_NE(ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").find("500"),
            std::string::npos);
}

TEST_F(HttpServer, RefusesOnTheHeadAlone) {
  start(echo(), quick(), [](const Request& head) {
    return head.path == "/no" ? std::optional<Response>({401, "text/plain", "no key"})
                              : std::nullopt;
  });
  const std::string answer = ask("POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" +
                                 std::string(100'000, 'x'));
  EXPECT_NE(answer.find("401"), std::string::npos);
  EXPECT_NE(answer.find("no key"), std::string::npos);
  EXPECT_TRUE(answers());
}

TEST_F(HttpServer, KeepsItsLimits) {
  Limits limits = quick();
  limits.body = 1000;
  limits.head = 2000;
  start(echo(), limits);
  const std::string post = "POST / HTTP/1.1\r\nHost: x\r\n";
  EXPECT_NE(ask(post + "Content-Length: 1001\r\n\r\n").find(" 413 "), std::string::npos);
  EXPECT_NE(ask(post + "Content-Length: 18446744073709551616\r\n\r\n").find(" 400 "),
            std::string::npos);
  EXPECT_NE(ask(post + "Transfer-Encoding: chunked\r\n\r\n7d0\r\n" + std::string(2000, 'x'))
                .find(" 413 "),
            std::string::npos);
  EXPECT_NE(
      ask("GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(3000, 'x') + "\r\n\r\n").find(" 431 "),
      std::string::npos);
  EXPECT_NE(ask("GET /" + std::string(3000, 'x') + " HTTP/1.1\r\n\r\n").find(" 431 "),
            std::string::npos);
  EXPECT_TRUE(answers());
}

TEST_F(HttpServer, CutsOffWhoIsSlow) {
  start(echo());
  const auto begin = std::chrono::steady_clock::now();
  Client trickle(port()), body(port()), silent(port());
  body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
  for (int i = 0; i < 12; ++i) {
    trickle.send("G");
    body.send("x");
    std::this_thread::sleep_for(100ms);
  }
  trickle.read(), body.read(), silent.read();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
  for (int i = 0; i < 100 && server_->counts().connections > 0; ++i)
    std::this_thread::sleep_for(10ms);
  EXPECT_EQ(server_->counts().connections, 0U);
  EXPECT_TRUE(answers());
}

TEST_F(HttpServer, OneAddressDoesNotTakeAllConnections) {
  Limits limits = quick();
  limits.head_time = 5s;
  limits.connections_per_address = 3;
  start(echo(), limits);
  const Client a(port(), "127.0.0.2"), b(port(), "127.0.0.2"), c(port(), "127.0.0.2");
  Client one_more(port(), "127.0.0.2");
  one_more.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(one_more.read("|"), "");
  EXPECT_TRUE(answers());
  EXPECT_EQ(server_->counts().refused, 1U);
}

// What no client should send. None of it may end the server, or be taken for a whole request.
TEST_F(HttpServer, SurvivesMalformedRequests) {
  std::atomic<int> whole{0};
  Limits limits = quick();
  limits.head_time = limits.body_time = 150ms;
  limits.body = 100'000;
  start(
      [&](const std::shared_ptr<Exchange>& exchange) {
        try {
          std::vector<File> files;
          if (exchange->request.method == "POST") parse_form(exchange->request, {}, files);
          ++whole;
          exchange->respond({200, "text/plain", "taken"});
        } catch (const UsageError& error) {
          exchange->respond({400, "text/plain", error.what()});
        }
      },
      limits);
  const std::string host = "Host: x\r\n";
  const std::vector<std::string> requests = {
      "",
      "\r\n",
      "\0\0\0\0",
      "GET",
      "GET /\r\n\r\n",
      "GET / HTTP/9.9\r\n\r\n",
      "GET  /  HTTP/1.1\r\n\r\n",
      "get\t/ HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\nHost: x\n\n",
      "GET / HTTP/1.1\r\n" + host + " folded: x\r\n\r\n",
      "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
      "POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n",
      "POST / HTTP/1.1\r\n" + host + "Content-Length: 5, 6\r\n\r\nabcdef",
      "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
      "POST / HTTP/1.1\r\n" + host +
          "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
      "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
      "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\n",
      "POST / HTTP/1.1\r\n" + host +
          "Content-Type: application/json\r\nContent-Length: 4\r\n\r\n[[[[",
      "POST / HTTP/1.1\r\n" + host +
          "Content-Type: multipart/form-data; boundary=X\r\nContent-Length: 3\r\n\r\n--X",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  };
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::unique_ptr<Client>> clients;
    for (std::string request : requests) {
      if (round > 0 && !request.empty()) request[random() % request.size()] = char(random() % 256);
      if (round > 10) request.resize(request.size() - random() % (request.size() + 1));
      clients.push_back(std::make_unique<Client>(port()));
      clients.back()->send(request);
      if (round % 3 == 0) clients.back()->end();
    }
    for (const auto& client : clients) {
      if (round % 2 == 0) client->read();
    }
  }
  EXPECT_TRUE(answers());
}

TEST_F(HttpServer, ReturnsWhatItHeld) {
  Limits limits = quick();
  limits.bodies = 300'000;
  std::vector<std::shared_ptr<Exchange>> kept;
  std::atomic<int> held{0};
  start(
      [&](std::shared_ptr<Exchange> exchange) {
        if (exchange->request.method != "POST") return exchange->respond({200, "", "", {}});
        kept.push_back(std::move(exchange));
        ++held;
      },
      limits);
  const std::string post =
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + std::string(200'000, 'x');
  Client first(port());
  first.send(post);
  while (held < 1) std::this_thread::sleep_for(1ms);
  EXPECT_NE(ask(post).find("Retry-After: 2"), std::string::npos);
  kept[0]->respond({200, "", "", {}});
  kept.clear();
  EXPECT_NE(first.read("\r\n\r\n").find(" 200 "), std::string::npos);
  Client second(port());
  second.send(post);
  for (int i = 0; i < 300 && held < 2; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(held, 2);
  kept.clear();
}

TEST(HttpServerAddress, SaysWhyItCannotListen) {
  const auto start = [](const std::string& host, uint16_t port) {
    return Server(host, port, {}, {}, {}, refusal).port();
  };
  EXPECT_THROW(start("example.org", 0), UsageError);
  EXPECT_THROW(start("8.8.8.8", 0), IoError);
  const Server taken("127.0.0.1", 0, {}, {}, {}, refusal);
  EXPECT_THROW(start("127.0.0.1", taken.port()), IoError);
}

}  // namespace
}  // namespace icedit::http
