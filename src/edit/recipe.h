#pragma once
// What made a picture, written into the picture: enough to make it again, and to see whether the
// model is the same.
#include <map>
#include <string>
#include <vector>

#include "edit/edit_settings.h"
#include "edit/residency.h"
#include "io/image.h"

namespace icedit {

inline constexpr const char* kRecipeKey = "icedit";  // of the picture's text

// Which files they were. Up to 256 MiB all bytes are hashed ("contents"); of larger ones names,
// sizes and safetensors headers
// ("headers and sizes"), since nobody waits for 24 GB to be read.
struct Fingerprint {
  std::string sha256, of;
};
Fingerprint fingerprint(const std::vector<Path>& files);

// An id stays; of a path only the last name goes along with what may be given away.
std::string without_folders(const std::string& name);

// What the pictures of a run have in common, as a JSON object: version, model (name, each
// component's files and fingerprint), adapters (file, scale, fingerprint), device, dtype,
// noise_dtype, threads. Opens every component; weights are read only as far as the fingerprints
// need.
std::string describe_run(const Residency& residency);

// The recipe (without the folders of this machine): `run` (as above) with "edit" (settings_json)
// and "source" (the input's file name and SHA-256) in it, and what other programs show of a
// picture. `picture` of num_images.
PictureText recipe_text(const std::string& run, const std::string& settings, const Path& source,
                        const Path& mask, int64_t picture);

// The recipe in a picture, "" when there is none. Throws NoInputError.
std::string read_recipe(const Path& picture);
// What of a run (as above) is not as it was when the recipe was written, a line each: another
// model, other adapters, another dtype or version.
std::vector<std::string> differences(const std::string& recipe, const std::string& run);

bool recipe_has_mask(const std::string& recipe);
// Its "edit" object as JSON. Throws DataError when the recipe cannot be read.
std::string recipe_settings(const std::string& recipe, const std::string& where);

// "float32", "bfloat16", ... as Python names it.
std::string dtype_text(at::ScalarType type);

}  // namespace icedit
