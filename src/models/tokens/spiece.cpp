#include "models/tokens/spiece.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/error.h"

namespace icedit {
namespace {

[[noreturn]] void fail_spiece(const std::string& where, const std::string& what) {
  throw CheckpointError(
      str(where, ": ", what, "; expected the spiece.model of a T5 tokenizer. Download it again."));
}

// One protobuf message: fields one after another, each a key (number << 3 | wire type) and a value.
class Message {
 public:
  Message(std::string_view bytes, const std::string& where) : rest_(bytes), where_(where) {}

  struct Field {
    uint64_t number = 0;
    uint64_t varint = 0;     // wire type 0
    uint32_t fixed32 = 0;    // wire type 5
    std::string_view bytes;  // wire type 2
  };

  bool next(Field& field) {
    if (rest_.empty()) return false;
    const uint64_t key = varint();
    field = {key >> 3, 0, 0, {}};
    switch (key & 7) {
      case 0:
        field.varint = varint();
        break;
      case 1:
        take(8);
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        std::memcpy(&field.fixed32, take(4).data(), 4);
        break;
      default:
        fail_spiece(where_, str("a field of wire type ", key & 7));
    }
    return true;
  }

 private:
  std::string_view take(uint64_t size) {
    if (size > rest_.size())
      fail_spiece(where_, str("a field of ", size, " bytes where ", rest_.size(), " are left"));
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    fail_spiece(where_, "a number of more than ten bytes");
  }

  std::string_view rest_;
  const std::string& where_;
};

SpieceModel::Piece parse_piece(std::string_view bytes, const std::string& where) {
  SpieceModel::Piece piece;
  Message message(bytes, where);
  for (Message::Field f; message.next(f);) {
    if (f.number == 1) piece.text = f.bytes;
    if (f.number == 2) piece.score = std::bit_cast<float>(f.fixed32);
    if (f.number == 3 && f.varint >= 1 && f.varint <= 6)
      piece.type = static_cast<SpieceModel::Type>(f.varint);
  }
  if (!std::isfinite(piece.score))
    fail_spiece(where, str("piece '", piece.text, "' has no finite score"));
  return piece;
}

}  // namespace

SpieceModel SpieceModel::parse(std::string_view bytes, const std::string& where) {
  SpieceModel model;
  Message file(bytes, where);
  for (Message::Field f; file.next(f);) {
    if (f.number == 1) {
      model.pieces.push_back(parse_piece(f.bytes, where));
    } else if (f.number == 2) {
      Message trainer(f.bytes, where);
      for (Message::Field g; trainer.next(g);)
        if (g.number == 3 && g.varint != 1)
          fail_spiece(where, str("a model of type ", g.varint, ", not unigram"));
    } else if (f.number == 3) {
      Message normalizer(f.bytes, where);
      for (Message::Field g; normalizer.next(g);)
        if (g.number == 2) model.charsmap = g.bytes;
    }
  }
  if (model.pieces.empty()) fail_spiece(where, "no pieces");
  return model;
}

}  // namespace icedit
