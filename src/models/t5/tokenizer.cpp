#include "models/t5/tokenizer.h"

#include <algorithm>

#include "base/str.h"
#include "io/utf8.h"
#include "models/tokens/settings.h"
#include "models/tokens/unicode.h"

namespace icedit {
namespace {

constexpr std::string_view kSpace = "\u2581";  // stands for the space before a word

// With T5's own tokens; spiece.model, unlike tokenizer.json, has no sentinels: they follow its
// pieces, the last one first.
TokenizerSettings settings_of(const Path& folder, UnigramVocabulary& vocabulary) {
  TokenizerSettings settings(
      folder, {{"eos_token", {"</s>"}}, {"unk_token", {"<unk>"}}, {"pad_token", {"<pad>"}}},
      vocabulary.added);
  const auto sentinel = [](int64_t i) { return str("<extra_id_", i, ">"); };
  if (vocabulary.spiece_tokens)
    for (int64_t i = settings.extra_ids; i-- > 0;) vocabulary.pieces.push_back({sentinel(i), 0.0});
  if (!settings.extra) {
    settings.extra = vocabulary.spiece_tokens.value_or(std::vector<std::string>());
    for (int64_t i = 0; i < settings.extra_ids; ++i) settings.extra->push_back(sentinel(i));
  }
  return settings;
}

}  // namespace

T5Tokenizer::T5Tokenizer(const Path& folder) {
  UnigramVocabulary vocabulary = read_unigram_vocabulary(folder);
  const TokenizerSettings settings = settings_of(folder, vocabulary);
  charsmap_ = Charsmap(vocabulary.charsmap, vocabulary.where);
  unigram_ = Unigram(std::move(vocabulary.pieces), kUnknownPiece, vocabulary.where);
  add_tokens(
      settings, [&](const std::string& token) { return unigram_.find(token); }, unigram_.size(),
      [&](std::string_view text) { return charsmap_.normalise(text); });
}

std::vector<int32_t> T5Tokenizer::body(const std::string& text) const {
  return added_.encode(
      text, [&](std::string_view part) { return charsmap_.normalise(part); },
      [&](std::string_view part, std::vector<int32_t>& ids) { encode_words(part, ids); });
}

// Words are parted by white space; each has a kSpace before it, and one inside it starts another
// piece of text.
void T5Tokenizer::encode_words(std::string_view text, std::vector<int32_t>& ids) const {
  for (text = without_leading_space(text); !text.empty(); text = without_leading_space(text)) {
    const std::string_view word = up_to_space(text);
    text.remove_prefix(word.size());
    std::string marked = word.starts_with(kSpace) ? "" : std::string(kSpace);
    marked += word;
    for (size_t begin = 0; begin < marked.size();) {
      const size_t end = std::min(marked.find(kSpace, begin + kSpace.size()), marked.size());
      unigram_.encode(std::string_view(marked).substr(begin, end - begin), ids);
      begin = end;
    }
  }
}

std::string T5Tokenizer::decode(const std::vector<int32_t>& ids) const {
  std::string text;
  bool first = true;
  for (const int32_t id : ids) {
    const AddedToken* token = added_.find(id);
    if (token == nullptr && (id < 0 || id >= unigram_.size())) continue;
    if (token != nullptr && token->special) continue;
    const std::string& piece = token != nullptr ? token->content : unigram_.text(id);
    text += replaced(piece, kSpace, first ? "" : " ");
    first = false;
  }
  return valid_utf8(text);
}

}  // namespace icedit
