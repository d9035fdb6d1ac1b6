#include "cli/adapter_fit.h"

#include <ATen/ATen.h>

#include "base/str.h"
#include "edit/recipe.h"

namespace icedit::cli {
namespace {

// "" when it fits. An x_embedder made for FLUX.1-dev has fewer inputs, and is padded when it is
// loaded.
std::string misfit(const std::string& module, int64_t out, int64_t in,
                   const Checkpoint& transformer) {
  const std::string name = module + ".weight";
  if (!transformer.has(name)) return module + ": the model has no such layer";
  const std::vector<int64_t> shape = transformer.entry(name).info.shape;
  const bool columns =
      shape.size() == 2 && (in == shape[1] || (module == "x_embedder" && in < shape[1]));
  if (columns && out == shape[0]) return "";
  return str(module, ": made for ", std::vector{out, in}, ", the model's is ", shape);
}

}  // namespace

std::vector<std::string> misfits(const AdapterFile& adapter, const Checkpoint& transformer) {
  std::vector<std::string> lines;
  const auto add = [&](const std::string& module, const Tensor& a, const Tensor& b) {
    const std::string line = misfit(module, b.size(0), a.size(1), transformer);
    if (!line.empty()) lines.push_back(line);
  };
  for (const LoraModule& m : adapter.lora) add(m.module, m.a, m.b);
  for (const MoeModule& m : adapter.moe) add(m.module, m.a[0], m.b[0]);
  return lines;
}

std::string adapter_warning(const Residency& residency, bool none_is_meant) {
  const std::vector<MergedAdapter>& merged = residency.files().defaults().merged;
  if (residency.adapters().empty() && merged.empty() && !none_is_meant) {
    return "no adapter: FLUX.1 Fill alone hardly follows instructions; give ICEdit's with --lora, "
           "or --no-lora to say that this is meant";
  }
  for (const AdapterRequest& adapter : residency.adapters()) {
    if (merged.empty()) break;  // hashing takes time
    const std::string sha256 = fingerprint({adapter_file(adapter.path)}).sha256;
    for (const MergedAdapter& m : merged) {
      if (m.sha256 != sha256) continue;
      return str(adapter.path, " is merged into ", residency.files().name(),
                 " already, so it counts twice; leave --lora out");
    }
  }
  return "";
}

}  // namespace icedit::cli
