#include "http/connection.h"

#include <netinet/tcp.h>

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "base/str.h"
#include "http/wire.h"

namespace icedit::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr milliseconds kLook{200};          // how often a waiting connection is looked at
constexpr milliseconds kHeartbeat{15'000};  // of a stream of events: proxies cut off silent ones
constexpr milliseconds kLingerTime{2'000};
constexpr uint64_t kSlowestRead = uint64_t{4} << 20;  // bytes in a Limits::write_time

// What a connection holds of all connections' bodies, given back with it.
class Share {
 public:
  explicit Share(std::atomic<uint64_t>& all) : all_(all) {}
  ~Share() { all_ -= mine_; }
  Share(const Share&) = delete;
  bool grow_to(uint64_t bytes, uint64_t limit) {
    if (bytes <= mine_) return true;
    all_ += bytes - mine_;
    mine_ = bytes;
    return all_ <= limit;
  }

 private:
  std::atomic<uint64_t>& all_;
  uint64_t mine_ = 0;
};

// Whether the other end has closed its half, whatever it sent before.
bool has_left(tcp::socket::native_handle_type socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return true;
  return info.tcpi_state != TCP_ESTABLISHED;
}

Request head_of(const bhttp::request<bhttp::string_body>& message, const std::string& address,
                bool encrypted) {
  Request request;
  request.method = std::string(message.method_string());
  const std::string target(message.target());
  const size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string::npos) request.query = target.substr(question + 1);
  for (const auto& field : message)
    request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  request.address = address;
  request.encrypted = encrypted;
  return request;
}

template <class Message>
void set_head(Message& message, const Response& response, bool keep_alive) {
  message.set(bhttp::field::server, "icedit");
  if (!response.type.empty()) message.set(bhttp::field::content_type, response.type);
  for (const auto& [name, value] : response.headers) message.insert(name, value);
  message.keep_alive(keep_alive);
}

// One connection, on the thread of all connections. Its coroutines take references to what lives
// in their callers: GCC 12 destroys temporary arguments of a co_await twice.
class Connection {
 public:
  Connection(Shared& shared, asio::io_context& context, asio::thread_pool& handlers,
             std::string address)
      : shared_(shared),
        limits_(shared.limits),
        context_(context),
        handlers_(handlers),
        stream_(context.get_executor(), shared.tls),
        address_(std::move(address)) {}

  Task<void> run(tcp::socket socket);

 private:
  struct Asked {
    unsigned version = 11;
    bool keep_alive = false, head_only = false;
    bool chunked() const { return version >= 11; }
  };
  Task<bool> one_request(bool first);
  Task<bool> read_head(bhttp::request_parser<bhttp::string_body>& parser, bool first);
  Task<bool> read_body(bhttp::request_parser<bhttp::string_body>& parser, Share& share);
  Task<bool> answer(Request& request, const Asked& asked);
  Task<bool> wait(Outgoing& outgoing, Timer& wake, bool events, const Asked& asked);
  Task<bool> write_head(const Response& response, const Asked& asked);
  Task<bool> write_part(std::string_view bytes, const Asked& asked);
  Task<bool> write_whole(Response& response, const Asked& asked);
  Task<void> refuse(Response& response);
  void expires(uint64_t bytes) {
    stream_.plain().expires_after(limits_.write_time * int64_t(1 + bytes / kSlowestRead));
  }

  Shared& shared_;
  const Limits& limits_;
  asio::io_context& context_;
  asio::thread_pool& handlers_;
  Wire stream_;
  beast::flat_buffer buffer_;
  const std::string address_;
};

Task<void> Connection::run(tcp::socket socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  const tcp protocol = socket.local_endpoint(ignored).protocol();
  stream_.plain().socket().assign(protocol, socket.release(), ignored);
  try {
    error_code error;
    stream_.plain().expires_after(limits_.head_time);
    co_await stream_.begin(error);
    if (error) ++shared_.malformed;
    bool first = true;
    while (!error && co_await one_request(first)) first = false;
  } catch (const boost::system::system_error&) {
    // Whatever ends a connection ends it alone.
  }
  stream_.plain().expires_after(kLingerTime);
  co_await stream_.end();
  stream_.plain().close();
}

// False: the connection is done.
Task<bool> Connection::one_request(bool first) {
  bhttp::request_parser<bhttp::string_body> parser;
  parser.header_limit(limits_.head);
  parser.body_limit(limits_.body);
  if (!co_await read_head(parser, first)) co_return false;
  ++shared_.requests;
  Asked asked{parser.get().version(), parser.get().keep_alive(),
              parser.get().method() == bhttp::verb::head};
  Request request = head_of(parser.get(), address_, shared_.tls.has_value());
  if (std::optional<Response> no = shared_.gate(request)) {
    const bool whole = parser.is_done();  // no body is on its way
    if (whole) co_return co_await write_whole(*no, asked);
    co_await refuse(*no);
    co_return false;
  }
  Share share(shared_.bodies);
  if (!co_await read_body(parser, share)) co_return false;
  request.body = std::move(parser.get().body());
  co_return co_await answer(request, asked);
}

Task<bool> Connection::read_head(bhttp::request_parser<bhttp::string_body>& parser, bool first) {
  error_code error;
  if (buffer_.size() == 0) {
    stream_.plain().expires_after(first ? limits_.head_time : limits_.idle_time);
    const size_t got =
        co_await stream_.async_read_some(buffer_.prepare(size_t{16} << 10), into(error));
    if (error) co_return false;
    buffer_.commit(got);
  }
  stream_.plain().expires_after(limits_.head_time);
  co_await bhttp::async_read_header(stream_, buffer_, parser, into(error));
  if (!error) co_return true;
  if (error == bhttp::error::end_of_stream) co_return false;
  ++shared_.malformed;
  if (error == beast::error::timeout) co_return false;  // the stream is closed
  Response response;
  if (error == bhttp::error::body_limit) {
    response = shared_.refusal(413, str("the body is larger than ", limits_.body, " bytes"));
  } else if (error == bhttp::error::header_limit || error == bhttp::error::buffer_overflow) {
    response = shared_.refusal(431, str("the headers are larger than ", limits_.head, " bytes"));
  } else {
    response = shared_.refusal(400, str("this is no valid HTTP request: ", error.message()));
  }
  co_await refuse(response);
  co_return false;
}

Task<bool> Connection::read_body(bhttp::request_parser<bhttp::string_body>& parser, Share& share) {
  error_code error;
  stream_.plain().expires_after(limits_.body_time);
  if (same_ignoring_case(std::string_view(parser.get()[bhttp::field::expect]), "100-continue")) {
    bhttp::response<bhttp::empty_body> go_on(bhttp::status::continue_, parser.get().version());
    co_await bhttp::async_write(stream_, go_on, into(error));
    if (error) co_return false;
  }
  Response response;
  while (!parser.is_done()) {
    co_await bhttp::async_read_some(stream_, buffer_, parser, into(error));
    if (error) {
      ++shared_.malformed;
      if (error == beast::error::timeout || error == bhttp::error::partial_message) co_return false;
      if (error == bhttp::error::body_limit) {
        response = shared_.refusal(413, str("the body is larger than ", limits_.body, " bytes"));
      } else {
        response = shared_.refusal(400, str("the body is not valid: ", error.message()));
      }
      co_await refuse(response);
      co_return false;
    }
    if (!share.grow_to(parser.get().body().size(), limits_.bodies)) {
      response = shared_.refusal(503, "too much is being uploaded now; try again soon");
      response.headers.emplace_back("Retry-After", "2");
      co_await refuse(response);
      co_return false;
    }
  }
  stream_.plain().expires_never();
  co_return true;
}

// Whatever ends the answering, also the server's own end.
struct Answering {
  Shared& shared;
  std::shared_ptr<Outgoing> outgoing;
  Answering(Shared& shared, std::shared_ptr<Outgoing> outgoing)
      : shared(shared), outgoing(std::move(outgoing)) {
    ++shared.answering;
  }
  Answering(const Answering&) = delete;
  ~Answering() {
    --shared.answering;
    outgoing->leave();
    outgoing->stop();
  }
};

Task<bool> Connection::answer(Request& request, const Asked& asked) {
  const auto wake = std::make_shared<Timer>(context_.get_executor());
  const auto outgoing = std::make_shared<Outgoing>(
      [this, wake] { asio::post(context_, [wake] { wake->cancel(); }); });
  const Answering answering(shared_, outgoing);
  asio::post(handlers_, [&shared = shared_, exchange = std::make_shared<Exchange>(
                                                std::move(request), outgoing)]() mutable {
    shared.handler(std::move(exchange));
  });
  bool events = false, begun = false;
  while (co_await wait(*outgoing, *wake, events, asked)) {
    if (outgoing->bytes() > limits_.unread) co_return false;  // nobody reads it
    std::optional<Piece> piece = outgoing->take();
    if (!piece) continue;
    switch (piece->kind) {
      case Piece::Kind::kWhole: {
        if (begun) co_return false;  // the answer broke off
        const bool kept = co_await write_whole(piece->response, asked);
        outgoing->stop();  // answered: nobody is to be told of the end
        co_return kept;
      }
      case Piece::Kind::kHead: {
        begun = true;
        events = piece->response.type == "text/event-stream";
        const bool ok = co_await write_head(piece->response, asked);
        if (!ok) co_return false;
        break;
      }
      case Piece::Kind::kPart: {
        const bool ok = co_await write_part(piece->bytes, asked);
        if (!ok) co_return false;
        break;
      }
      case Piece::Kind::kEnd: {
        outgoing->stop();
        if (!asked.chunked()) co_return false;
        error_code error;
        expires(0);
        co_await asio::async_write(stream_, bhttp::make_chunk_last(), into(error));
        co_return !error && asked.keep_alive;
      }
    }
  }
  co_return false;
}

// Until there may be a piece. False: the client has left.
Task<bool> Connection::wait(Outgoing& outgoing, Timer& wake, bool events, const Asked& asked) {
  error_code error;
  auto quiet = std::chrono::steady_clock::now();
  while (!outgoing.has_piece()) {
    wake.expires_after(kLook);
    if (outgoing.has_piece()) break;  // its call to wake came before the waiting
    co_await wake.async_wait(into(error));
    if (outgoing.has_piece()) break;
    if (has_left(stream_.plain().socket().native_handle())) co_return false;
    if (!events || std::chrono::steady_clock::now() - quiet < kHeartbeat) continue;
    quiet = std::chrono::steady_clock::now();
    const bool ok = co_await write_part(":\n\n", asked);  // a comment, in this format
    if (!ok) co_return false;
  }
  co_return true;
}

Task<bool> Connection::write_head(const Response& response, const Asked& asked) {
  error_code error;
  bhttp::response<bhttp::empty_body> head(bhttp::status(response.status), asked.version);
  set_head(head, response, asked.keep_alive && asked.chunked());
  if (asked.chunked()) head.chunked(true);
  bhttp::response_serializer<bhttp::empty_body> serializer(head);
  expires(0);
  co_await bhttp::async_write_header(stream_, serializer, into(error));
  co_return !error;
}

Task<bool> Connection::write_part(std::string_view bytes, const Asked& asked) {
  error_code error;
  const auto buffer = asio::buffer(bytes.data(), bytes.size());
  expires(bytes.size());
  if (asked.chunked()) {
    const auto chunk = bhttp::make_chunk(buffer);
    co_await asio::async_write(stream_, chunk, into(error));
  } else {
    co_await asio::async_write(stream_, buffer, into(error));
  }
  co_return !error;
}

Task<bool> Connection::write_whole(Response& response, const Asked& asked) {
  error_code error;
  bhttp::response<bhttp::string_body> message(bhttp::status(response.status), asked.version);
  set_head(message, response, asked.keep_alive);
  const uint64_t size = response.body.size();
  const bool no_body = response.status == 204 || response.status == 304;
  if (!asked.head_only) message.body() = std::move(response.body);
  if (!no_body) message.content_length(size);
  bhttp::response_serializer<bhttp::string_body> serializer(message);
  expires(size);
  if (asked.head_only) {
    co_await bhttp::async_write_header(stream_, serializer, into(error));
  } else {
    co_await bhttp::async_write(stream_, serializer, into(error));
  }
  co_return !error && asked.keep_alive;
}

// Answers and ends the connection, whose client may still be sending: where data lies unread at the
// end, TCP resets the connection and the answer is lost.
Task<void> Connection::refuse(Response& response) {
  error_code error;
  const Asked asked;
  co_await write_whole(response, asked);
  stream_.plain().expires_after(kLingerTime);
  co_await stream_.end();
  std::string rest(size_t{64} << 10, '\0');
  while (!error) co_await stream_.plain().async_read_some(asio::buffer(rest), into(error));
}

}  // namespace

Task<void> serve_connection(Shared& shared, asio::io_context& context, asio::thread_pool& handlers,
                            tcp::socket socket, std::string address) {
  Connection connection(shared, context, handlers, std::move(address));
  co_await connection.run(std::move(socket));
}

}  // namespace icedit::http
