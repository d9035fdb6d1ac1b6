#pragma once
// CLIP's byte-level BPE, as transformers' CLIPTokenizer makes ids (lower case, NFC, whitespace
// squeezed, </w> suffixes).
#include "models/tokens/bpe.h"
#include "models/tokens/tokenizer.h"

namespace icedit {

class ClipTokenizer : public Tokenizer {
 public:
  // `folder` holds vocab.json and merges.txt (special tokens from tokenizer_config.json /
  // special_tokens_map.json where there are any) or tokenizer.json alone. Throws ModelUnavailable
  // (names the files that must be there), CheckpointError.
  explicit ClipTokenizer(const Path& folder);

  std::string decode(const std::vector<int32_t>& ids) const override;

 private:
  std::vector<int32_t> body(const std::string& text) const override;
  void encode_words(const std::u32string& text, std::vector<int32_t>& ids) const;
  int32_t largest_id() const override { return bpe_.largest_id(); }

  Bpe bpe_;
};

}  // namespace icedit
