#pragma once
// What stands beside a tokenizer's vocabulary: which tokens are bos, eos, unk and pad, and which
// are taken whole where a text has them. Read from tokenizer_config.json, special_tokens_map.json
// and added_tokens.json in transformers 5's order.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "io/files.h"
#include "models/tokens/added_tokens.h"
#include "models/tokens/vocabulary.h"

namespace icedit {

struct TokenizerSettings {
  // `json`: what tokenizer.json says, used where tokenizer_config.json says nothing. Missing files
  // are no error. Throws CheckpointError.
  TokenizerSettings(const Path& folder, const TokenizerJson& json);

  // bos_token, eos_token, ...; plain: a mere string in the file.
  struct Named {
    AddedToken token;
    bool plain = true;
    bool operator==(const Named&) const = default;
  };
  std::map<std::string, Named> named;
  std::map<int64_t, AddedToken> declared;        // added_tokens_decoder, by the id that it states
  std::optional<std::vector<AddedToken>> extra;  // extra_special_tokens
  std::optional<std::vector<AddedToken>> additional;  // additional_special_tokens, the older key
  int64_t extra_ids = 100;                            // T5's sentinels
  bool split_special_tokens = false;                  // special tokens written in a text are text
  bool pads_left = false, truncates_left = false;

  void set_default(const std::string& name, const std::string& content);
  const std::string& content(const std::string& name) const;  // of a named token that has a default

  // All added tokens, with ids: those of the vocabulary, where `find` knows the content (-1: it
  // does not), and from `vocabulary_size` on for the others. Later ones replace earlier ones of the
  // same content.
  std::vector<AddedToken> tokens(const std::function<int32_t(const std::string&)>& find,
                                 int64_t vocabulary_size) const;
};

// The ids that a model is fed: [bos] body [eos], whole or cut and padded to a length.
struct TokenFrame {
  std::optional<int32_t> bos;
  int32_t eos = 0, pad = 0;
  bool pads_left = false, truncates_left = false;

  std::vector<int32_t> whole(const std::vector<int32_t>& body) const;
  // Throws UsageError when bos and eos alone do not fit.
  std::vector<int32_t> fixed(const std::vector<int32_t>& body, int64_t length) const;
};

}  // namespace icedit
