#include "cli/adapter_warning.h"

#include "base/str.h"
#include "edit/recipe.h"

namespace icedit::cli {

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

}  // namespace icedit::cli
