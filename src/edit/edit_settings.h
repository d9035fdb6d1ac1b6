#pragma once
// What can be said about one edit, spelled once: flags of `icedit edit`, keys of a line of a batch
// and of a recipe, and fields of a request to the server.
#include <optional>
#include <string>
#include <vector>

#include "edit/pipeline.h"
#include "io/json.h"

namespace icedit {

inline constexpr int kQuality = 95;

struct EditSettings {
  std::string image, mask, output;  // paths as they were given; "" for none
  std::string change_map;           // the file to write it to; "" for none
  std::optional<uint64_t> seed;     // unset: a random one; -1 is 2^64 - 1, as torch takes it
  std::optional<int64_t> quality;   // of JPEG and WebP; unset: kQuality
  bool model_size = false;          // the model's size was asked for by name
  bool keep_location = false;       // the photo's GPS goes along with a full-size edit
  EditRequest request;  // everything else; its pictures and its seed are filled in later
};

// Bound to `settings`, which must outlive them. Defaults in the help are those of FLUX.1 Fill.
std::vector<Setting> edit_options(EditSettings& settings);

// The settings that an edit by this model runs with: every default filled in. `seed`: the
// picture's; of several edits with a seed each, every one can be made again alone.
EditSettings resolved(EditSettings settings, const ModelDefaults& defaults, uint64_t seed);

// Whether a setting names a file of this machine or says how one is written: recipes do not hold
// it, and no request from elsewhere may set it.
bool is_of_files(const std::string& setting);

// Throws UsageError where the last of `images` seeds, of which `seed` is the first, does not exist.
void expect_seeds(uint64_t seed, int64_t images, const std::string& where);

// As --dry-run, --json and the recipe show them: by the same keys; without paths and what is of the
// file alone.
Json settings_json(EditSettings settings);

// Sets what a JSON object names. Throws UsageError for an unknown key or a bad value; `where` names
// the file.
void set_from_json(EditSettings& settings, const std::string& object, const std::string& where);

}  // namespace icedit
