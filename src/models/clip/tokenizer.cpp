#include "models/clip/tokenizer.h"

#include <algorithm>

#include "io/utf8.h"
#include "models/tokens/added_tokens.h"
#include "models/tokens/bpe.h"
#include "models/tokens/settings.h"
#include "models/tokens/unicode.h"

namespace icedit {
namespace {

constexpr const char* kBos = "<|startoftext|>";
constexpr const char* kEos = "<|endoftext|>";

std::string normalise(std::string_view text) {
  std::u32string lower;
  for (const char32_t c : nfc(from_utf8(text))) append_lower(c, lower);
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : lower) append_utf8(c, out);
  return out;
}

bool is_symbol(char32_t c) {
  return !is_white_space(c) && !is_letter(c) && !is_number(c);
}

// Sizes of the words that text[at:] begins with, in code points; empty at white space. They are
// those of CLIP's pattern
//   <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
// where the two tokens, if they got this far (in other letter case), fall apart into <|, the name
// and |>.
std::vector<size_t> word_sizes(std::u32string_view text, size_t at) {
  const std::u32string_view rest = text.substr(at);
  for (const std::u32string_view token : {U"<|startoftext|>", U"<|endoftext|>"})
    if (rest.starts_with(token)) return {2, token.size() - 4, 2};
  for (const std::u32string_view ending : {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"})
    if (rest.starts_with(ending)) return {ending.size()};
  const auto run = [&](bool (*belongs)(char32_t)) {
    return static_cast<size_t>(std::find_if_not(rest.begin(), rest.end(), belongs) - rest.begin());
  };
  if (is_white_space(rest[0])) return {};
  if (is_letter(rest[0])) return {run(is_letter)};
  if (is_number(rest[0])) return {1};
  return {run(is_symbol)};
}

}  // namespace

struct ClipTokenizer::Impl {
  explicit Impl(const Path& folder) : Impl(folder, read_bpe_vocabulary(folder)) {}

  Impl(const Path& folder, BpeVocabulary vocabulary)
      : Impl(TokenizerSettings(folder,
                               {{"bos_token", {kBos}},
                                {"eos_token", {kEos}},
                                {"unk_token", {kEos}},
                                {"pad_token", {kEos}}},
                               vocabulary.added),
             std::move(vocabulary)) {}

  Impl(const TokenizerSettings& settings, BpeVocabulary&& vocabulary)
      : bpe(std::move(vocabulary), settings.named.at("unk_token").content),
        added(
            settings.tokens([&](const std::string& token) { return bpe.find(token); }, bpe.size()),
            normalise),
        frame{.bos = added.id_of(settings.named.at("bos_token").content),
              .eos = added.id_of(settings.named.at("eos_token").content),
              .pad = added.id_of(settings.named.at("pad_token").content)} {}

  std::vector<int32_t> body(const std::string& text) const {
    return added.encode(text, normalise, [&](std::string_view piece, std::vector<int32_t>& ids) {
      encode_words(from_utf8(piece), ids);
    });
  }

  void encode_words(const std::u32string& text, std::vector<int32_t>& ids) const {
    std::string word;
    for (size_t at = 0; at < text.size();) {
      const std::vector<size_t> sizes = word_sizes(text, at);
      if (sizes.empty()) ++at;
      for (const size_t size : sizes) {
        word.clear();
        for (size_t end = at + size; at < end; ++at) append_utf8(text[at], word);
        bpe.encode(word, ids);
      }
    }
  }

  Bpe bpe;
  AddedTokens added;
  TokenFrame frame;
};

ClipTokenizer::ClipTokenizer(const Path& folder) : impl_(std::make_unique<Impl>(folder)) {}
ClipTokenizer::~ClipTokenizer() = default;
ClipTokenizer::ClipTokenizer(ClipTokenizer&&) noexcept = default;

std::vector<int32_t> ClipTokenizer::encode(const std::string& text) const {
  return impl_->frame.whole(impl_->body(text));
}

std::vector<int32_t> ClipTokenizer::encode(const std::string& text, int64_t length) const {
  return impl_->frame.fixed(impl_->body(text), length);
}

int64_t ClipTokenizer::vocab_size() const {
  int32_t largest = impl_->bpe.largest_id();
  for (const AddedToken& token : impl_->added.all()) largest = std::max(largest, token.id);
  return int64_t{largest} + 1;
}

std::string ClipTokenizer::decode(const std::vector<int32_t>& ids) const {
  std::string bytes;
  for (const int32_t id : ids) {
    const AddedToken* token = impl_->added.find(id);
    if (token == nullptr)
      bytes += impl_->bpe.bytes(id);
    else if (!token->special)
      bytes += token->content;
  }
  const std::string text = replaced(valid_utf8(bytes), Bpe::kWordEnd, " ");
  return std::string(without_leading_space(without_trailing_space(text)));
}

}  // namespace icedit
