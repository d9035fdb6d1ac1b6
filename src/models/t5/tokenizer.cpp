#include "models/t5/tokenizer.h"

#include <algorithm>

#include "base/str.h"
#include "io/utf8.h"
#include "models/tokens/added_tokens.h"
#include "models/tokens/charsmap.h"
#include "models/tokens/settings.h"
#include "models/tokens/unicode.h"
#include "models/tokens/unigram.h"

namespace icedit {
namespace {

constexpr std::string_view kSpace = "\u2581";  // stands for the space before a word

}  // namespace

struct T5Tokenizer::Impl {
  explicit Impl(const Path& folder) : Impl(folder, read_unigram_vocabulary(folder)) {}

  Impl(const Path& folder, UnigramVocabulary vocabulary)
      : Impl(settings_of(folder, vocabulary), std::move(vocabulary)) {}

  Impl(const TokenizerSettings& settings, UnigramVocabulary&& vocabulary)
      : charsmap(vocabulary.charsmap, vocabulary.where),
        unigram(std::move(vocabulary.pieces), kUnknownPiece, vocabulary.where),
        added(settings.tokens([&](const std::string& token) { return unigram.find(token); },
                              unigram.size()),
              [&](std::string_view text) { return charsmap.normalise(text); }),
        frame{.bos = {},
              .eos = added.id_of(settings.named.at("eos_token").content),
              .pad = added.id_of(settings.named.at("pad_token").content)} {}

  // With T5's own tokens; spiece.model, unlike tokenizer.json, has no sentinels: they follow its
  // pieces, the last one first.
  static TokenizerSettings settings_of(const Path& folder, UnigramVocabulary& vocabulary) {
    TokenizerSettings settings(
        folder, {{"eos_token", {"</s>"}}, {"unk_token", {"<unk>"}}, {"pad_token", {"<pad>"}}},
        vocabulary.added);
    const auto sentinel = [](int64_t i) { return str("<extra_id_", i, ">"); };
    if (vocabulary.spiece_tokens)
      for (int64_t i = settings.extra_ids; i-- > 0;)
        vocabulary.pieces.push_back({sentinel(i), 0.0});
    if (!settings.extra) {
      settings.extra = vocabulary.spiece_tokens.value_or(std::vector<std::string>());
      for (int64_t i = 0; i < settings.extra_ids; ++i) settings.extra->push_back(sentinel(i));
    }
    return settings;
  }

  std::vector<int32_t> body(const std::string& text) const {
    return added.encode(
        text, [&](std::string_view part) { return charsmap.normalise(part); },
        [&](std::string_view part, std::vector<int32_t>& ids) { encode_words(part, ids); });
  }

  // Words are parted by white space; each has a kSpace before it, and one inside it starts another
  // piece of text.
  void encode_words(std::string_view text, std::vector<int32_t>& ids) const {
    for (text = without_leading_space(text); !text.empty(); text = without_leading_space(text)) {
      const std::string_view word = up_to_space(text);
      text.remove_prefix(word.size());
      std::string marked = word.starts_with(kSpace) ? "" : std::string(kSpace);
      marked += word;
      for (size_t begin = 0; begin < marked.size();) {
        const size_t end = std::min(marked.find(kSpace, begin + kSpace.size()), marked.size());
        unigram.encode(std::string_view(marked).substr(begin, end - begin), ids);
        begin = end;
      }
    }
  }

  Charsmap charsmap;
  Unigram unigram;
  AddedTokens added;
  TokenFrame frame;
};

T5Tokenizer::T5Tokenizer(const Path& folder) : impl_(std::make_unique<Impl>(folder)) {}
T5Tokenizer::~T5Tokenizer() = default;
T5Tokenizer::T5Tokenizer(T5Tokenizer&&) noexcept = default;

std::vector<int32_t> T5Tokenizer::encode(const std::string& text) const {
  return impl_->frame.whole(impl_->body(text));
}

std::vector<int32_t> T5Tokenizer::encode(const std::string& text, int64_t length) const {
  return impl_->frame.fixed(impl_->body(text), length);
}

int64_t T5Tokenizer::vocab_size() const {
  int64_t size = impl_->unigram.size();
  for (const AddedToken& token : impl_->added.all()) size = std::max(size, int64_t{token.id} + 1);
  return size;
}

std::string T5Tokenizer::decode(const std::vector<int32_t>& ids) const {
  std::string text;
  bool first = true;
  for (const int32_t id : ids) {
    const AddedToken* token = impl_->added.find(id);
    if (token == nullptr && (id < 0 || id >= impl_->unigram.size())) continue;
    if (token != nullptr && token->special) continue;
    const std::string& piece = token != nullptr ? token->content : impl_->unigram.text(id);
    text += replaced(piece, kSpace, first ? "" : " ");
    first = false;
  }
  return valid_utf8(text);
}

}  // namespace icedit
