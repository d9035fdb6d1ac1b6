// Whatever the bytes of a spiece.model are, they end in an error of ours or in a tokenizer that
// takes any text.
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "io/utf8.h"
#include "models/tokens/charsmap.h"
#include "models/tokens/spiece.h"
#include "models/tokens/unigram.h"

namespace {

using namespace icedit;

void encode(const SpieceModel& model) {
  const Charsmap charsmap(model.charsmap, "fuzz");
  std::vector<UnigramVocabulary::Piece> pieces;
  for (const SpieceModel::Piece& piece : model.pieces) pieces.push_back({piece.text, piece.score});
  const Unigram unigram(std::move(pieces), kUnknownPiece, "fuzz");
  for (const char* text : {"a cat", "\u2581the \uff21\u00bd", "e\u0301\r\n\ufb01\u0301",
                           "\U0001f468\u200d\U0001f469"}) {
    const std::string normalised = charsmap.normalise(text);
    if (normalised != valid_utf8(normalised)) std::abort();
    std::vector<int32_t> ids;
    unigram.encode(normalised, ids);
    for (const int32_t id : ids)
      if (id < 0 || id >= unigram.size()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    encode(SpieceModel::parse({reinterpret_cast<const char*>(data), size}, "fuzz"));
  } catch (const Error&) {
  }
  return 0;
}
