#pragma once
// What CLIP's tokenizer and T5's have in common: the ids that a model is fed are [bos] pieces eos,
// whole or cut and padded to a length.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "models/tokens/added_tokens.h"

namespace icedit {

struct TokenizerSettings;

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Untruncated. Text is UTF-8; malformed bytes are read as U+FFFD.
  std::vector<int32_t> encode(const std::string& text) const;
  // Truncated (eos kept) and padded to `length`. Throws UsageError when bos and eos alone do not
  // fit.
  std::vector<int32_t> encode(const std::string& text, int64_t length) const;

  int64_t vocab_size() const;
  // The text that ids stand for, for "this was cut" warnings.
  virtual std::string decode(const std::vector<int32_t>& ids) const = 0;

 protected:
  // Sets what follows, of the settings' tokens: `find` knows those of the vocabulary's `size`.
  void add_tokens(const TokenizerSettings& settings,
                  const std::function<int32_t(const std::string&)>& find, int64_t size,
                  const AddedTokens::Normalise& normalise);
  AddedTokens added_;
  std::optional<int32_t> bos_;  // T5 has none
  int32_t eos_ = 0, pad_ = 0;

 private:
  virtual std::vector<int32_t> body(const std::string& text) const = 0;  // the pieces
  virtual int32_t largest_id() const = 0;                                // of the vocabulary
};

}  // namespace icedit
