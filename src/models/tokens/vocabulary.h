#pragma once
// The vocabularies of a tokenizer's folder: BPE (vocab.json with merges.txt) and unigram
// (spiece.model); a tokenizer.json, where there is one, stands for either and comes first, as in
// transformers 5.
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/files.h"
#include "models/tokens/added_tokens.h"

namespace icedit {

// An id beyond this is a broken file; the largest public vocabularies have 262,144 tokens.
constexpr int32_t kMaxTokenId = (1 << 22) - 1;

// What else tokenizer.json says; it counts only where tokenizer_config.json does not say it.
struct TokenizerJson {
  std::vector<AddedToken> added;
  bool pads_left = false, truncates_left = false;
};

struct BpeVocabulary {
  std::unordered_map<std::string, int32_t> ids;
  std::vector<std::pair<std::string, std::string>> merges;  // the first one goes first
  TokenizerJson json;
  std::string where;  // for errors
};

struct UnigramVocabulary {
  struct Piece {
    std::string text;
    double score;
  };
  std::vector<Piece> pieces;  // by id
  std::string charsmap;       // sentencepiece's normalisation table; empty: none
  TokenizerJson json;
  // Of spiece.model: its control and user-defined pieces. Absent: the pieces are of tokenizer.json.
  std::optional<std::vector<AddedToken>> spiece_tokens;
  std::string where;
};

// Both throw ModelUnavailable (names what the folder lacks), CheckpointError (broken files).
BpeVocabulary read_bpe_vocabulary(const Path& folder);
UnigramVocabulary read_unigram_vocabulary(const Path& folder);

}  // namespace icedit
