#include "models/tokens/tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "models/tokens/settings.h"

namespace icedit {
namespace {

constexpr int64_t kMaxLength = 1 << 20;

std::vector<int32_t> framed(std::optional<int32_t> bos, std::vector<int32_t> ids, int32_t eos) {
  if (bos) ids.insert(ids.begin(), *bos);
  ids.push_back(eos);
  return ids;
}

}  // namespace

void Tokenizer::add_tokens(const TokenizerSettings& settings,
                           const std::function<int32_t(const std::string&)>& find, int64_t size,
                           const AddedTokens::Normalise& normalise) {
  added_ = AddedTokens(settings.tokens(find, size), normalise);
  eos_ = added_.id_of(settings.named.at("eos_token").content);
  pad_ = added_.id_of(settings.named.at("pad_token").content);
}

std::vector<int32_t> Tokenizer::encode(const std::string& text) const {
  return framed(bos_, body(text), eos_);
}

std::vector<int32_t> Tokenizer::encode(const std::string& text, int64_t length) const {
  std::vector<int32_t> pieces = body(text);
  const int64_t around = bos_ ? 2 : 1;
  if (length < around || length > kMaxLength)
    throw UsageError(str("a text of ", length, " tokens: expected ", around, " to ", kMaxLength,
                         ". FLUX.1 uses 77 for CLIP and up to 512 for T5."));
  pieces.resize(std::min(pieces.size(), size_t(length - around)));
  std::vector<int32_t> ids = framed(bos_, std::move(pieces), eos_);
  ids.resize(size_t(length), pad_);
  return ids;
}

int64_t Tokenizer::vocab_size() const {
  int32_t largest = largest_id();
  for (const AddedToken& token : added_.all()) largest = std::max(largest, token.id);
  return int64_t{largest} + 1;
}

}  // namespace icedit
