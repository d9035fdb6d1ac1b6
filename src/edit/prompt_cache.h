#pragma once
// What the text encoders made of prompts, kept on disk: with FLUX they are ten gigabytes to read
// for a result of four megabytes. An entry's name is a hash of all that it hangs on, so a file that
// was exchanged or a newer program never gives an old result; it equals a computed one bit for bit.
#include <cstdint>
#include <optional>
#include <string>

#include "edit/conditioning.h"
#include "io/files.h"

namespace icedit {

// $XDG_CACHE_HOME/icedit/prompts, or ~/.cache/icedit/prompts.
Path default_prompt_cache();

// Several processes may share a folder: entries are renamed into place whole, and one that is gone
// or damaged is made again.
class PromptCache {
 public:
  // Looks at the text encoders' files, not into them.
  explicit PromptCache(const Residency& residency);

  std::optional<PromptEmbeds> find(const Prompt& prompt) const;
  // What cannot be written is left, with a warning.
  void keep(const Prompt& prompt, const PromptEmbeds& embeds) const;

 private:
  Path entry(const Prompt& prompt) const;
  void make_room() const;

  PromptCacheOptions options_;
  at::Device device_;
  std::string common_;  // of the key, for every prompt; "" where nothing is kept
};

}  // namespace icedit
