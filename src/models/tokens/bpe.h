#pragma once
// Byte-level BPE: a word's bytes, the last one with the end-of-word suffix </w>, are merged pair by
// pair, the pair of the earliest merge first and the leftmost of its places first.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "models/tokens/vocabulary.h"

namespace icedit {

class Bpe {
 public:
  Bpe() = default;  // of no token
  // A byte that the vocabulary lacks is `unknown`. Throws CheckpointError: a merge of tokens that
  // the vocabulary lacks, or a byte that is missing while `unknown` is, too.
  Bpe(BpeVocabulary vocabulary, const std::string& unknown);

  void encode(std::string_view word, std::vector<int32_t>& ids) const;

  int32_t find(const std::string& token) const;  // -1: there is none
  int64_t size() const { return static_cast<int64_t>(ids_.size()); }
  int32_t largest_id() const { return largest_id_; }

  // The bytes that a token stands for, </w> included; empty for an id that is none.
  std::string bytes(int32_t id) const;

  static constexpr std::string_view kWordEnd = "</w>";

 private:
  struct Result {  // of a merge
    int32_t rank, id;
  };
  const Result* merge_of(int32_t left, int32_t right) const;

  TokenIds ids_;
  std::unordered_map<int32_t, const std::string*> tokens_;  // into ids_
  std::unordered_map<uint64_t, Result> merges_;             // by the pair of ids
  std::array<int32_t, 256> byte_ids_{}, last_byte_ids_{};
  int32_t largest_id_ = 0;
};

}  // namespace icedit
