#pragma once
// T5's sentencepiece unigram tokenizer, as transformers' T5TokenizerFast makes ids.
#include "models/tokens/charsmap.h"
#include "models/tokens/tokenizer.h"
#include "models/tokens/unigram.h"

namespace icedit {

// Special tokens written in a text (<extra_id_0>, </s>, <pad>, <unk>) are taken as such, as the
// fast tokenizer does.
class T5Tokenizer : public Tokenizer {
 public:
  // `folder` holds spiece.model (and tokenizer.json / tokenizer_config.json for the special
  // tokens). Throws ModelUnavailable (names the files that must be there), CheckpointError.
  explicit T5Tokenizer(const Path& folder);

  std::string decode(const std::vector<int32_t>& ids) const override;

 private:
  std::vector<int32_t> body(const std::string& text) const override;
  void encode_words(std::string_view text, std::vector<int32_t>& ids) const;
  int32_t largest_id() const override { return int32_t(unigram_.size()) - 1; }

  Charsmap charsmap_;
  Unigram unigram_;
};

}  // namespace icedit
