#pragma once
// The vocabularies of a tokenizer's folder: BPE (vocab.json with merges.txt) and unigram
// (spiece.model); a tokenizer.json, where there is one, stands for either and comes first, as in
// transformers 5.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "io/files.h"
#include "models/tokens/added_tokens.h"
#include "models/tokens/bpe_files.h"

namespace icedit {

// T5's unknown piece; transformers takes no other.
constexpr int32_t kUnknownPiece = 2;

struct BpeVocabulary {
  TokenIds ids;
  std::vector<BpeMerge> merges;         // the first one goes first
  std::map<int64_t, AddedToken> added;  // of tokenizer.json, by id
  std::string where;                    // for errors
};

struct UnigramVocabulary {
  struct Piece {
    std::string text;
    double score;
  };
  std::vector<Piece> pieces;            // by id
  std::string charsmap;                 // sentencepiece's normalisation table; empty: none
  std::map<int64_t, AddedToken> added;  // of tokenizer.json, by id
  // Of spiece.model: its control and user-defined pieces. Absent: the pieces are of tokenizer.json.
  std::optional<std::vector<std::string>> spiece_tokens;
  std::string where;
};

// Both throw ModelUnavailable (names what the folder lacks), CheckpointError (broken files).
BpeVocabulary read_bpe_vocabulary(const Path& folder);
UnigramVocabulary read_unigram_vocabulary(const Path& folder);

}  // namespace icedit
