#include "models/tokens/unigram.h"

#include <unicode/utf8.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace icedit {
namespace {

constexpr double kUnknownPenalty = 10;  // below the worst piece, as in sentencepiece

}  // namespace

Unigram::Unigram(std::vector<UnigramVocabulary::Piece> pieces, int32_t unknown_id,
                 const std::string& where)
    : pieces_(std::move(pieces)), order_(pieces_.size()), unknown_id_(unknown_id) {
  if (size() <= unknown_id || size() > kMaxTokenId)
    throw CheckpointError(str(where, ": has ", size(), " pieces, expected ", unknown_id + 1, " to ",
                              kMaxTokenId, ". Is this the spiece.model of a T5 tokenizer?"));
  double worst = pieces_[0].score;
  for (const auto& piece : pieces_) {
    if (!std::isfinite(piece.score))
      throw CheckpointError(str(where, ": piece '", piece.text, "' has no finite score."));
    worst = std::min(worst, piece.score);
  }
  unknown_score_ = worst - kUnknownPenalty;

  std::iota(order_.begin(), order_.end(), 0);
  std::sort(order_.begin(), order_.end(), [&](int32_t a, int32_t b) {
    const int by_text = text(a).compare(text(b));
    return by_text != 0 ? by_text < 0 : a > b;
  });
  // Of pieces with the same text the last one counts.
  order_.erase(std::unique(order_.begin(), order_.end(),
                           [&](int32_t a, int32_t b) { return text(a) == text(b); }),
               order_.end());
}

Unigram::Prefix Unigram::extend(Prefix prefix, size_t depth, char c) const {
  const auto at = [&](size_t i) { return order_.begin() + static_cast<std::ptrdiff_t>(i); };
  // The piece that is the prefix itself has no byte at `depth` and comes first.
  const auto byte = [&](int32_t id) {
    const std::string& piece = text(id);
    return piece.size() > depth ? static_cast<int>(static_cast<uint8_t>(piece[depth])) : -1;
  };
  const int wanted = static_cast<uint8_t>(c);
  const auto begin = std::partition_point(at(prefix.begin), at(prefix.end),
                                          [&](int32_t id) { return byte(id) < wanted; });
  const auto end =
      std::partition_point(begin, at(prefix.end), [&](int32_t id) { return byte(id) <= wanted; });
  return {static_cast<size_t>(begin - order_.begin()), static_cast<size_t>(end - order_.begin())};
}

int32_t Unigram::find(std::string_view piece) const {
  const auto it = std::partition_point(order_.begin(), order_.end(),
                                       [&](int32_t id) { return text(id) < piece; });
  return it != order_.end() && text(*it) == piece ? *it : -1;
}

void Unigram::encode(std::string_view word, std::vector<int32_t>& ids) const {
  struct Best {  // the best way to a place in the word
    double score = 0;
    size_t from = SIZE_MAX;
    int32_t id = -1;
  };
  std::vector<Best> best(word.size() + 1);
  const auto offer = [&](size_t from, size_t to, int32_t id, double score) {
    const double total = score + best[from].score;
    if (best[to].id < 0 || total > best[to].score) best[to] = {total, from, id};
  };
  const auto size = static_cast<int64_t>(word.size());
  for (int64_t i = 0; i < size;) {
    const auto from = static_cast<size_t>(i);
    U8_FWD_1(word.data(), i, size);
    const auto next = static_cast<size_t>(i);
    bool covered = false;
    Prefix prefix{0, order_.size()};
    for (size_t to = from; to < word.size();) {
      prefix = extend(prefix, to - from, word[to]);
      if (prefix.begin == prefix.end) break;
      ++to;
      const int32_t id = order_[prefix.begin];
      if (text(id).size() != to - from) continue;
      offer(from, to, id, pieces_[static_cast<size_t>(id)].score);
      covered = covered || to == next;
    }
    if (!covered) offer(from, next, unknown_id_, unknown_score_);
  }

  const size_t first = ids.size();
  for (size_t end = word.size(); end > 0; end = best[end].from)
    if (best[end].id != unknown_id_ || ids.size() == first || ids.back() != unknown_id_)
      ids.push_back(best[end].id);
  std::reverse(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
}

}  // namespace icedit
