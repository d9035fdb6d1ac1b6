#pragma once
// sentencepiece's normalisation table (nmt_nfkc and the like) as the tokenizers library applies it:
// grapheme by grapheme, which is not quite what sentencepiece does with the same table. Layout:
// size of the trie in bytes (uint32), the trie (a darts-clone double array of uint32 units,
// little-endian), then the replacements, each ended by a NUL; the trie's values are byte offsets
// into them.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace icedit {

class Charsmap {
 public:
  Charsmap() = default;  // changes nothing
  // Empty bytes: the same. Throws CheckpointError that names `where`.
  Charsmap(std::string_view bytes, const std::string& where);

  std::string normalise(std::string_view utf8) const;

  // As tokenizer.json holds it. Throws CheckpointError.
  static std::string decode_base64(std::string_view text, const std::string& where);

 private:
  std::optional<std::string_view> replacement(std::string_view chunk) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace icedit
