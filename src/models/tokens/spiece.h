#pragma once
// sentencepiece's model file (spiece.model), which is a protobuf message, read without protobuf:
//   ModelProto      1: SentencePiece (repeated)  2: TrainerSpec  3: NormalizerSpec
//   SentencePiece   1: piece (string)  2: score (float)  3: type (enum; normal where absent)
//   TrainerSpec     3: model_type (enum; unigram where absent)
//   NormalizerSpec  2: precompiled_charsmap (bytes)
#include <string>
#include <string_view>
#include <vector>

namespace icedit {

struct SpieceModel {
  enum class Type {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };
  struct Piece {
    std::string text;
    float score = 0;
    Type type = Type::kNormal;
  };
  std::vector<Piece> pieces;  // by id
  std::string charsmap;

  // Throws CheckpointError: not such a file, cut off, not a unigram model, a score that is no
  // number. `where` names it.
  static SpieceModel parse(std::string_view bytes, const std::string& where);
};

}  // namespace icedit
