#include "models/tokens/bpe.h"

#include <algorithm>
#include <queue>
#include <tuple>

#include "base/error.h"
#include "models/tokens/unicode.h"

namespace icedit {
namespace {

// GPT-2's alphabet: printable Latin-1 characters stand for themselves, the other bytes for U+0100
// on.
std::array<char32_t, 256> byte_alphabet() {
  std::array<char32_t, 256> letters;
  char32_t next = 0x100;
  for (char32_t b = 0; b < 256; ++b) {
    const bool printable =
        (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
    letters[b] = printable ? b : next++;
  }
  return letters;
}

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

Bpe::Bpe(BpeVocabulary vocabulary, const std::string& unknown) : ids_(std::move(vocabulary.ids)) {
  const auto fail = [&](const std::string& what) {
    throw CheckpointError(str(vocabulary.where, ": ", what,
                              ". Do vocab.json and merges.txt come from the same tokenizer?"));
  };
  tokens_.reserve(ids_.size());
  for (const auto& [token, id] : ids_) {
    tokens_.emplace(id, &token);
    largest_id_ = std::max(largest_id_, id);
  }
  const int32_t unknown_id = find(unknown);
  const std::array<char32_t, 256> alphabet = byte_alphabet();
  for (size_t b = 0; b < 256; ++b) {
    std::string letter;
    append_utf8(alphabet[b], letter);
    for (auto* table : {&byte_ids_, &last_byte_ids_}) {
      const int32_t id = find(letter);
      (*table)[b] = id < 0 ? unknown_id : id;
      if ((*table)[b] < 0)
        fail(
            str("has neither '", letter, "' (byte ", b, ") nor the unknown token '", unknown, "'"));
      letter += kWordEnd;
    }
  }
  merges_.reserve(vocabulary.merges.size());
  for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    const auto& [left, right] = vocabulary.merges[rank];
    const int32_t left_id = find(left), right_id = find(right), id = find(left + right);
    if (left_id < 0 || right_id < 0 || id < 0)
      fail(str("merge ", rank + 1, ", '", left, " ", right, "', needs the tokens '", left, "', '",
               right, "' and '", left, right, "'"));
    merges_[pair_key(left_id, right_id)] = {static_cast<int32_t>(rank), id};
  }
}

int32_t Bpe::find(const std::string& token) const {
  const auto it = ids_.find(token);
  return it == ids_.end() ? -1 : it->second;
}

const Bpe::Result* Bpe::merge_of(int32_t left, int32_t right) const {
  const auto it = merges_.find(pair_key(left, right));
  return it == merges_.end() ? nullptr : &it->second;
}

void Bpe::encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (word.empty()) return;
  constexpr size_t kNone = SIZE_MAX;
  struct Symbol {  // of a doubly linked list; a merged-away one has id -1
    int32_t id;
    size_t before, after;
  };
  std::vector<Symbol> symbols(word.size());
  for (size_t i = 0; i < word.size(); ++i)
    symbols[i] = {byte_ids_[static_cast<uint8_t>(word[i])], i == 0 ? kNone : i - 1, i + 1};
  symbols.back() = {last_byte_ids_[static_cast<uint8_t>(word.back())], symbols.back().before,
                    kNone};

  using Candidate = std::tuple<int32_t, size_t, int32_t>;  // rank, place of the left symbol, result
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](size_t left) {
    if (left == kNone || symbols[left].after == kNone) return;
    if (const Result* m = merge_of(symbols[left].id, symbols[symbols[left].after].id))
      queue.emplace(m->rank, left, m->id);
  };
  for (size_t i = 0; i < symbols.size(); ++i) offer(i);
  while (!queue.empty()) {
    const auto [rank, at, id] = queue.top();
    queue.pop();
    Symbol& left = symbols[at];
    if (left.id < 0 || left.after == kNone) continue;
    Symbol& right = symbols[left.after];
    const Result* merge = merge_of(left.id, right.id);
    if (merge == nullptr || merge->id != id) continue;  // one of the two has changed since
    left.id = id;
    left.after = right.after;
    right.id = -1;
    if (left.after != kNone) symbols[left.after].before = at;
    offer(left.before);
    offer(at);
  }
  for (size_t i = 0; i != kNone; i = symbols[i].after) ids.push_back(symbols[i].id);
}

std::string Bpe::bytes(int32_t id) const {
  const auto it = tokens_.find(id);
  if (it == tokens_.end()) return {};
  const std::array<char32_t, 256> alphabet = byte_alphabet();
  std::string out;
  for (const char32_t letter : from_utf8(*it->second)) {
    const auto* b = std::find(alphabet.begin(), alphabet.end(), letter);
    if (b == alphabet.end()) return *it->second;  // not of bytes: the token as it is
    out.push_back(static_cast<char>(b - alphabet.begin()));
  }
  return out;
}

}  // namespace icedit
