#pragma once
// T5's sentencepiece unigram tokenizer, as transformers' T5TokenizerFast makes ids.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/files.h"

namespace icedit {

class T5Tokenizer {
 public:
  // `folder` holds spiece.model (and tokenizer.json / tokenizer_config.json for the special
  // tokens). Throws ModelUnavailable (names the files that must be there), CheckpointError.
  explicit T5Tokenizer(const Path& folder);
  ~T5Tokenizer();
  T5Tokenizer(T5Tokenizer&&) noexcept;

  // The pieces and </s>; untruncated. Special tokens written in the text (<extra_id_0>, </s>,
  // <pad>, <unk>) are taken as such, as the fast tokenizer does.
  std::vector<int32_t> encode(const std::string& text) const;
  // Truncated (</s> kept) and padded to `length`.
  std::vector<int32_t> encode(const std::string& text, int64_t length) const;

  int64_t vocab_size() const;
  std::string decode(const std::vector<int32_t>& ids) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace icedit
