#pragma once
// Hugging Face ids in the local cache. Nothing is downloaded.
// Source: huggingface_hub's constants.py (HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME,
// XDG_CACHE_HOME) and its cache layout models--ORG--NAME/{refs/REV,snapshots/COMMIT}.
#include <string>
#include <vector>

#include "io/files.h"

namespace icedit {

Path hub_cache();

// Whether `text` looks like "org/name", "org/name@revision" or "org/name/file.safetensors".
bool looks_like_hub_id(const std::string& text);

// The snapshot folder of "org/name[@revision]", or the file of "org/name/path/to/file[@revision]".
// Throws ModelUnavailable with the exact `hf download` line, and `hf auth login` where it is
// needed; IoError where the cache may not be read.
Path find_in_hub_cache(const std::string& id);

// Behind an error about something that is missing: "; was its download interrupted?", and within
// the cache what to type to go on with it.
std::string how_to_complete(const Path& place);

// "https://...", say: nothing is fetched.
bool is_url(const std::string& text);

// A path that exists, or else an id in the cache. `what` names the option in errors ("--model");
// `embedded`: models that come with the program, which the caller has looked for before.
Path resolve_path_or_id(const std::string& text, const std::string& what,
                        const std::vector<std::string>& embedded = {});

}  // namespace icedit
