#include "http/exchange.h"

namespace icedit::http {

void Outgoing::put(Piece piece) {
  const std::lock_guard lock(mutex_);
  if (answered_ || left_) return;
  answered_ = piece.kind == Piece::Kind::kWhole || piece.kind == Piece::Kind::kEnd;
  bytes_ += piece.bytes.size();
  pieces_.push_back(std::move(piece));
  if (wake_) wake_();
}

bool Outgoing::is_answered() const {
  const std::lock_guard lock(mutex_);
  return answered_;
}

bool Outgoing::has_piece() const {
  const std::lock_guard lock(mutex_);
  return !pieces_.empty();
}

std::optional<Piece> Outgoing::take() {
  const std::lock_guard lock(mutex_);
  if (pieces_.empty()) return std::nullopt;
  Piece piece = std::move(pieces_.front());
  pieces_.pop_front();
  bytes_ -= piece.bytes.size();
  return piece;
}

uint64_t Outgoing::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

void Outgoing::leave() {
  std::vector<std::function<void()>> functions;
  {
    const std::lock_guard lock(mutex_);
    left_ = true;
    pieces_.clear();
    functions.swap(on_leave_);
  }
  for (const auto& function : functions) function();
}

void Outgoing::stop() {
  const std::lock_guard lock(mutex_);
  wake_ = {};
  on_leave_.clear();  // they may hold the exchange, which holds this
}

void Outgoing::on_leave(std::function<void()> function) {
  {
    const std::lock_guard lock(mutex_);
    if (!left_) {
      if (wake_) on_leave_.push_back(std::move(function));
      return;
    }
  }
  function();
}

bool Outgoing::left() const {
  const std::lock_guard lock(mutex_);
  return left_;
}

Exchange::~Exchange() {
  if (outgoing_->is_answered()) return;
  Response response;
  response.status = 500;
  respond(std::move(response));
}

void Exchange::respond(Response response) {
  outgoing_->put({Piece::Kind::kWhole, std::move(response), {}});
}
void Exchange::begin(Response head) {
  outgoing_->put({Piece::Kind::kHead, std::move(head), {}});
}
void Exchange::send(std::string piece) {
  if (!piece.empty()) outgoing_->put({Piece::Kind::kPart, {}, std::move(piece)});
}
void Exchange::end() {
  outgoing_->put({Piece::Kind::kEnd, {}, {}});
}

}  // namespace icedit::http
