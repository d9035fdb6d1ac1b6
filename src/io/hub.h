#pragma once
// Hugging Face ids in the local cache. Nothing is downloaded.
// Source: huggingface_hub's constants.py (HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME,
// XDG_CACHE_HOME) and its cache layout models--ORG--NAME/{refs/REV,snapshots/COMMIT}.
#include <string>

#include "io/files.h"

namespace icedit {

Path hub_cache();

// Whether `text` looks like "org/name", "org/name@revision" or "org/name/file.safetensors".
bool looks_like_hub_id(const std::string& text);

// The snapshot folder of "org/name[@revision]", or the file of "org/name/path/to/file[@revision]".
// Throws ModelUnavailable with the exact `hf auth login` and `hf download` lines.
Path find_in_hub_cache(const std::string& id);

// A path that exists, or else an id in the cache. `what` names the option in errors ("--model").
Path resolve_path_or_id(const std::string& text, const std::string& what);

}  // namespace icedit
