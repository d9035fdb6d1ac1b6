#pragma once
// What stands beside the vocabulary in the folders of FLUX.1's tokenizers, read in transformers 5's
// order: which tokens are bos, eos, unk and pad, and which are taken whole where a text has them.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "io/files.h"
#include "io/json_file.h"
#include "models/tokens/added_tokens.h"

namespace icedit {

struct TokenizerSettings {
  // `named`: the model's own eos_token, ...; `declared`: the added tokens of tokenizer.json by id.
  // Both count where tokenizer_config.json and, without its added_tokens_decoder,
  // special_tokens_map.json say nothing. Missing files are no error. Throws CheckpointError: also
  // for a setting that FLUX.1's folders lack, since it may change the ids.
  TokenizerSettings(const Path& folder, std::map<std::string, AddedToken> named,
                    std::map<int64_t, AddedToken> declared);

  std::map<std::string, AddedToken> named;
  std::map<int64_t, AddedToken> declared;
  std::optional<std::vector<std::string>> extra;  // more special tokens
  int64_t extra_ids = 100;                        // T5's sentinels

  // All added tokens, each once, with ids: those of the vocabulary, where `find` knows the content
  // (-1: it does not), and from `vocabulary_size` on for the others.
  std::vector<AddedToken> tokens(const std::function<int32_t(const std::string&)>& find,
                                 int64_t vocabulary_size) const;
};

// An object with the token's content and how it is looked for. Throws CheckpointError.
AddedToken read_added_token(const JsonFile& json, bool special);

}  // namespace icedit
