#pragma once
// The unigram model: a word is cut into the pieces whose scores (log-probabilities) sum to the
// most.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/tokens/vocabulary.h"

namespace icedit {

class Unigram {
 public:
  Unigram() = default;  // of no piece
  // A character that no piece covers is `unknown_id`; a run of them is one token.
  // Throws CheckpointError that names `where`: too few pieces, a score that is not finite.
  Unigram(std::vector<UnigramVocabulary::Piece> pieces, int32_t unknown_id,
          const std::string& where);

  void encode(std::string_view word, std::vector<int32_t>& ids) const;

  int32_t find(std::string_view piece) const;  // -1: there is none
  int64_t size() const { return static_cast<int64_t>(pieces_.size()); }
  const std::string& text(int32_t id) const { return pieces_[static_cast<size_t>(id)].text; }

 private:
  struct Prefix {
    size_t begin, end;  // the stretch of order_ whose pieces start with it
  };
  Prefix extend(Prefix prefix, size_t depth, char c) const;

  std::vector<UnigramVocabulary::Piece> pieces_;
  std::vector<int32_t> order_;  // ids by text, bytewise
  int32_t unknown_id_ = 0;
  double unknown_score_ = 0;
};

}  // namespace icedit
