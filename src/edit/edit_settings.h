#pragma once
// What can be said about one edit, spelled once: flags of `icedit edit`, keys of a line of a batch
// and of a recipe, and fields of a request to the server.
#include <optional>
#include <string>
#include <vector>

#include "base/option.h"
#include "edit/pipeline.h"

namespace icedit {

inline constexpr int kQuality = 95;

struct EditSettings {
  std::string image, mask, output;  // paths as they were given; "" for none
  std::optional<int64_t> seed;      // unset: a random one
  std::optional<int64_t> quality;   // of JPEG and WebP; unset: kQuality
  EditRequest request;  // everything else; its pictures and its seed are filled in later
};

// Options that write into `settings`, which must outlive them. Defaults in the help are those of
// FLUX.1 Fill.
std::vector<Option> edit_options(EditSettings& settings);

// The settings that an edit by this model runs with, as a JSON object with the same keys and every
// default filled in: what --dry-run, --json and the recipe show. Paths are left out. `seed`: the
// picture's.
std::string settings_json(const EditSettings& settings, const ModelDefaults& defaults,
                          int64_t seed);

// The inverse: sets what the object names. Throws UsageError for an unknown key or a bad value;
// `where` names the file.
void set_from_json(EditSettings& settings, const std::string& json, const std::string& where);

}  // namespace icedit
