#include "models/t5/tokenizer.h"

#include <algorithm>

#include "base/str.h"
#include "models/tokens/added_tokens.h"
#include "models/tokens/charsmap.h"
#include "models/tokens/settings.h"
#include "models/tokens/unicode.h"
#include "models/tokens/unigram.h"

namespace icedit {
namespace {

constexpr std::string_view kSpace = "\u2581";  // stands for the space before a word

std::vector<AddedToken> sentinels(int64_t count) {
  std::vector<AddedToken> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back({.content = str("<extra_id_", i, ">")});
  return tokens;
}

}  // namespace

struct T5Tokenizer::Impl {
  explicit Impl(const Path& folder) : Impl(folder, read_unigram_vocabulary(folder)) {}

  Impl(const Path& folder, UnigramVocabulary vocabulary)
      : Impl(complete(folder, vocabulary), std::move(vocabulary)) {}

  Impl(const TokenizerSettings& settings, UnigramVocabulary&& vocabulary)
      : charsmap(vocabulary.charsmap, vocabulary.where),
        unigram(std::move(vocabulary.pieces), kUnknownPiece, vocabulary.where),
        added(
            settings.tokens([&](const std::string& token) { return unigram.find(token); },
                            unigram.size()),
            [&](std::string_view text) { return charsmap.normalise(text); },
            !settings.split_special_tokens),
        frame{.bos = {},
              .eos = id_of(settings.content("eos_token")),
              .pad = id_of(settings.content("pad_token")),
              .pads_left = settings.pads_left,
              .truncates_left = settings.truncates_left} {}

  // The settings with T5's own tokens; spiece.model, unlike tokenizer.json, has no sentinels: they
  // follow its pieces, the last one first.
  static TokenizerSettings complete(const Path& folder, UnigramVocabulary& vocabulary) {
    TokenizerSettings settings(folder, vocabulary.json);
    settings.set_default("eos_token", "</s>");
    settings.set_default("unk_token", "<unk>");
    settings.set_default("pad_token", "<pad>");
    const std::vector<AddedToken> extra_ids = sentinels(settings.extra_ids);
    if (vocabulary.spiece_tokens) {
      settings.additional = vocabulary.spiece_tokens;
      for (auto it = extra_ids.rbegin(); it != extra_ids.rend(); ++it)
        vocabulary.pieces.push_back({it->content, 0.0});
    }
    std::vector<AddedToken> additional = settings.additional.value_or(std::vector<AddedToken>());
    const bool has_sentinels = std::any_of(additional.begin(), additional.end(), [](const auto& t) {
      return t.content.find("<extra_id_") != std::string::npos;
    });
    if (!has_sentinels) additional.insert(additional.end(), extra_ids.begin(), extra_ids.end());
    if (!settings.extra) settings.extra = std::move(additional);
    return settings;
  }

  int32_t id_of(const std::string& content) const {
    for (const AddedToken& token : added.all())
      if (token.content == content) return token.id;
    return unigram.find(content);
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
