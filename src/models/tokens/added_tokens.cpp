#include "models/tokens/added_tokens.h"

#include <algorithm>

#include "base/error.h"
#include "io/utf8.h"
#include "models/tokens/unicode.h"

namespace icedit {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 20;

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalise& normalise)
    : tokens_(std::move(tokens)) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    std::string text = token.normalized ? normalise(token.content) : token.content;
    if (!text.empty())
      (token.normalized ? normalised_ : as_written_).push_back({std::move(text), i});
  }
  for (auto* patterns : {&as_written_, &normalised_})
    std::stable_sort(patterns->begin(), patterns->end(), [](const Pattern& a, const Pattern& b) {
      return a.text.size() > b.text.size();
    });
}

const AddedTokens::Pattern* AddedTokens::longest_at(std::string_view rest,
                                                    const std::vector<Pattern>& patterns) const {
  for (const Pattern& pattern : patterns)
    if (rest.substr(0, pattern.text.size()) == pattern.text) return &pattern;
  return nullptr;
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text,
                                                  const std::vector<Pattern>& patterns) const {
  std::string first_bytes;
  for (const Pattern& pattern : patterns) first_bytes.push_back(pattern.text[0]);
  std::vector<Part> parts;
  size_t done = 0;
  for (size_t at = text.find_first_of(first_bytes); at != std::string_view::npos;
       at = text.find_first_of(first_bytes, at)) {
    const Pattern* match = longest_at(text.substr(at), patterns);
    if (match == nullptr) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[match->token];
    size_t begin = at, end = at + match->text.size();
    at = end;
    if (token.lstrip) begin = without_trailing_space(text.substr(0, begin)).size();
    if (token.rstrip) end = text.size() - without_leading_space(text.substr(end)).size();
    begin = std::max(begin, done);  // the token before may have taken the white space
    if (begin > done) parts.push_back({text.substr(done, begin - done), nullptr});
    parts.push_back({{}, &token});
    done = std::max(done, end);
  }
  if (done < text.size()) parts.push_back({text.substr(done), nullptr});
  return parts;
}

std::vector<int32_t> AddedTokens::encode(const std::string& text, const Normalise& normalise,
                                         const Encode& encode) const {
  if (text.size() > kMaxTextBytes)
    throw UsageError(str("the text has ", text.size(), " bytes, and ", kMaxTextBytes,
                         " are the limit: an instruction is a sentence or two."));
  std::vector<int32_t> ids;
  const std::string valid = valid_utf8(text);
  for (const Part& part : split(valid, as_written_)) {
    if (part.token != nullptr) {
      ids.push_back(part.token->id);
      continue;
    }
    const std::string normalised = normalise(part.text);
    for (const Part& piece : split(normalised, normalised_)) {
      if (piece.token != nullptr)
        ids.push_back(piece.token->id);
      else
        encode(piece.text, ids);
    }
  }
  return ids;
}

const AddedToken* AddedTokens::find(int32_t id) const {
  // The last one, as a map from ids to tokens keeps it.
  const auto it = std::find_if(tokens_.rbegin(), tokens_.rend(),
                               [&](const AddedToken& t) { return t.id == id; });
  return it == tokens_.rend() ? nullptr : &*it;
}

int32_t AddedTokens::id_of(const std::string& content) const {
  return std::find_if(tokens_.begin(), tokens_.end(),
                      [&](const AddedToken& t) { return t.content == content; })
      ->id;
}

}  // namespace icedit
