#include "models/clip/tokenizer.h"

#include <algorithm>

#include "io/utf8.h"
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

ClipTokenizer::ClipTokenizer(const Path& folder) {
  BpeVocabulary vocabulary = read_bpe_vocabulary(folder);
  const TokenizerSettings settings(
      folder,
      {{"bos_token", {kBos}}, {"eos_token", {kEos}}, {"unk_token", {kEos}}, {"pad_token", {kEos}}},
      vocabulary.added);
  bpe_ = Bpe(std::move(vocabulary), settings.named.at("unk_token").content);
  add_tokens(
      settings, [&](const std::string& token) { return bpe_.find(token); }, bpe_.size(), normalise);
  bos_ = added_.id_of(settings.named.at("bos_token").content);
}

std::vector<int32_t> ClipTokenizer::body(const std::string& text) const {
  return added_.encode(text, normalise, [&](std::string_view piece, std::vector<int32_t>& ids) {
    encode_words(from_utf8(piece), ids);
  });
}

void ClipTokenizer::encode_words(const std::u32string& text, std::vector<int32_t>& ids) const {
  std::string word;
  for (size_t at = 0; at < text.size();) {
    const std::vector<size_t> sizes = word_sizes(text, at);
    if (sizes.empty()) ++at;
    for (const size_t size : sizes) {
      word.clear();
      for (size_t end = at + size; at < end; ++at) append_utf8(text[at], word);
      bpe_.encode(word, ids);
    }
  }
}

std::string ClipTokenizer::decode(const std::vector<int32_t>& ids) const {
  std::string bytes;
  for (const int32_t id : ids) {
    const AddedToken* token = added_.find(id);
    if (token == nullptr)
      bytes += bpe_.bytes(id);
    else if (!token->special)
      bytes += token->content;
  }
  const std::string text = replaced(valid_utf8(bytes), Bpe::kWordEnd, " ");
  return std::string(without_leading_space(without_trailing_space(text)));
}

}  // namespace icedit
