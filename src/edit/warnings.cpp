#include "edit/warnings.h"

#include "base/str.h"
#include "edit/recipe.h"

namespace icedit {

std::string adapter_warning(const Residency& residency, bool none_is_meant) {
  const std::vector<MergedAdapter>& merged = residency.files().defaults().merged;
  if (residency.adapters().empty() && merged.empty() && !none_is_meant) {
    return "no adapter: FLUX.1 Fill alone hardly follows instructions; give ICEdit's with --lora, "
           "or --no-lora to say that this is meant";
  }
  for (const EditAdapter& adapter : residency.adapters()) {
    if (merged.empty()) break;  // hashing takes time
    const std::string sha256 = fingerprint(std::vector<Path>{adapter.fitted.path}).sha256;
    for (const MergedAdapter& m : merged) {
      if (m.sha256 != sha256) continue;
      return str(adapter.name, " is merged into ", residency.files().name(),
                 " already, so it counts twice; leave --lora out");
    }
  }
  return "";
}

std::string width_warning(int64_t width, const ModelDefaults& defaults) {
  const bool wide = width > 2 * defaults.width, narrow = 2 * width < defaults.width;
  if (!wide && !narrow) return "";
  return str("--width ", width, " is ", wide ? "more than twice" : "less than half of", " the ",
             defaults.width, " pixels that the model is made for, so the edit may be no more than ",
             "a texture; leave --width out for the model's own");
}

}  // namespace icedit
