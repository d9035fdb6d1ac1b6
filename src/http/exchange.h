#pragma once
// One request and the way to its answer, which may come later and from any thread.
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "http/message.h"

namespace icedit::http {

struct Piece {
  enum class Kind { kWhole, kHead, kPart, kEnd };
  Kind kind = Kind::kWhole;
  Response response = {};  // of kWhole and kHead
  std::string bytes = {};  // of kPart
};

// What lies between those who answer and the connection that sends it. Nothing here waits.
class Outgoing {
 public:
  // `wake`: the connection is to look again; called until stop().
  explicit Outgoing(std::function<void()> wake) : wake_(std::move(wake)) {}

  void put(Piece piece);
  bool is_answered() const;  // wholly, sent or not

  // For the connection:
  bool has_piece() const;
  std::optional<Piece> take();
  uint64_t bytes() const;  // that were put and not taken
  void leave();            // the client has left
  void stop();             // it looks no more

  void on_leave(std::function<void()> function);
  bool left() const;

 private:
  mutable std::mutex mutex_;
  std::function<void()> wake_;
  std::deque<Piece> pieces_;
  uint64_t bytes_ = 0;
  bool answered_ = false, left_ = false;
  std::vector<std::function<void()>> on_leave_;
};

// One that is let go of without an answer is answered with a 500.
class Exchange {
 public:
  Exchange(Request request, std::shared_ptr<Outgoing> outgoing)
      : request(std::move(request)), outgoing_(std::move(outgoing)) {}
  ~Exchange();
  Exchange(const Exchange&) = delete;

  Request request;

  void respond(Response response);  // all of it
  // A head, then pieces as they come, then the end.
  void begin(Response head);
  void send(std::string piece);
  void end();

  // Called once when the client leaves before all was answered, on another thread; at once where it
  // has left already.
  void on_leave(std::function<void()> function) { outgoing_->on_leave(std::move(function)); }
  bool left() const { return outgoing_->left(); }

 private:
  std::shared_ptr<Outgoing> outgoing_;
};

}  // namespace icedit::http
