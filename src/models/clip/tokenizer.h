#pragma once
// CLIP's byte-level BPE, as transformers' CLIPTokenizer makes ids (lower case, NFC, whitespace
// squeezed, </w> suffixes).
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/files.h"

namespace icedit {

class ClipTokenizer {
 public:
  // `folder` holds vocab.json and merges.txt (special tokens from tokenizer_config.json /
  // special_tokens_map.json where there are any) or tokenizer.json alone. Throws ModelUnavailable
  // (names the files that must be there), CheckpointError.
  explicit ClipTokenizer(const Path& folder);
  ~ClipTokenizer();
  ClipTokenizer(ClipTokenizer&&) noexcept;

  // bos, the pieces, eos; untruncated. Text is UTF-8; malformed bytes are read as U+FFFD.
  std::vector<int32_t> encode(const std::string& text) const;
  // Truncated (eos kept) and padded to `length`.
  std::vector<int32_t> encode(const std::string& text, int64_t length) const;

  int64_t vocab_size() const;
  // The text that ids stand for, for "this was cut" warnings.
  std::string decode(const std::vector<int32_t>& ids) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace icedit
