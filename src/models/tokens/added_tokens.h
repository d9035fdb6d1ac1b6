#pragma once
// Tokens that stand beside a tokenizer's vocabulary (bos, eos, pad, sentinels) and are taken whole
// where a text has them, as the tokenizers library does: the longest at the leftmost place.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace icedit {

struct AddedToken {
  std::string content;
  bool special = true;      // left out when ids are decoded
  bool normalized = false;  // looked for in the normalised text rather than in the text as written
  bool lstrip = false;      // takes the white space before it along
  bool rstrip = false;      // and after it
  int32_t id = -1;
};

class AddedTokens {
 public:
  using Normalise = std::function<std::string(std::string_view)>;
  using Encode = std::function<void(std::string_view, std::vector<int32_t>&)>;

  AddedTokens() = default;
  // `tokens` have ids, and each a content of its own.
  AddedTokens(std::vector<AddedToken> tokens, const Normalise& normalise);

  // The ids of a text: of the added tokens in it, and for each stretch between them what `encode`
  // appends for its normalised form. Malformed UTF-8 is read as U+FFFD. Throws UsageError for a
  // text beyond 16 MiB.
  std::vector<int32_t> encode(const std::string& text, const Normalise& normalise,
                              const Encode& encode) const;

  const AddedToken* find(int32_t id) const;         // null: there is none
  int32_t id_of(const std::string& content) const;  // of one that is there
  const std::vector<AddedToken>& all() const { return tokens_; }

 private:
  struct Pattern {
    std::string text;
    size_t token;
  };
  struct Part {
    std::string_view text;
    const AddedToken* token;  // null: text between tokens
  };
  std::vector<Part> split(std::string_view text, const std::vector<Pattern>& patterns) const;
  const Pattern* longest_at(std::string_view rest, const std::vector<Pattern>& patterns) const;

  std::vector<AddedToken> tokens_;
  std::vector<Pattern> as_written_, normalised_;  // longest first
};

}  // namespace icedit
