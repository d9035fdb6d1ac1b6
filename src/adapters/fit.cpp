#include "adapters/fit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "adapters/targets.h"
#include "base/error.h"
#include "base/log.h"
#include "nn/comfy_quant.h"
#include "nn/linear.h"

namespace icedit {
namespace {

constexpr const char* kAnother = "Was it made for another model?";

// Training takes an adapter whole or not at all.
const char* remedy(const AttachOptions& options) {
  return options.trainable ? "" : " --lora-allow-partial loads the rest.";
}

// What is wrong with a module; "" where it fits.
std::string misfit(const LinearShapes& linears, const AdapterModule& module, bool first) {
  const auto found = linears.find(module.module);
  if (found == linears.end()) {
    std::vector<std::string> paths;
    for (const auto& [path, shape] : linears) paths.push_back(path);
    // Only the first is told; the nearest names of hundreds would take seconds.
    const std::string nearest =
        first ? str(" (the nearest are ", nearest_names(paths, module.module, 2), ")") : "";
    return str("tensor '", module.tensors.at(0), "' is for ", module.module,
               ", which the model does not have", nearest);
  }
  const int64_t out = found->second.at(0), in = found->second.at(1);
  const auto wrong = [](const std::string& name, const Tensor& got, const Shape& expected) {
    return str("tensor '", name, "' is ", got.sizes().vec(), ", expected ", expected);
  };
  if (module.has_router() && module.in() != in) {
    return wrong(module.tensors.at(2 * module.a.size()), module.route, {module.experts(), in});
  }
  if (module.out() != out) return wrong(module.tensors.at(1), module.b[0], {out, module.rank()});
  if (module.in() > in) return wrong(module.tensors.at(0), module.a[0], {module.rank(), in});
  return "";
}

std::string and_more(size_t all, size_t shown) {
  return all > shown ? str(" and ", all - shown, " more") : "";
}

void expect_modules(const FittedAdapter& fitted, const AttachOptions& options) {
  const auto& problems = fitted.problems;
  if (fitted.modules.empty()) {
    throw CheckpointError(str(fitted.path.string(), ": none of its ", fitted.modules_in_file,
                              " layers fits the model: ", problems.empty() ? "" : problems[0], ". ",
                              kAnother));
  }
  if (problems.empty()) return;
  const std::string what =
      str(fitted.path.string(), ": ", problems[0],
          problems.size() > 1 ? str(", and ", problems.size() - 1, " more like it") : "");
  if (!options.allow_partial) {
    const bool another = fitted.modules.size() < fitted.modules_in_file;
    throw CheckpointError(str(what, ".", another ? str(" ", kAnother) : "", remedy(options)));
  }
  const auto& left = fitted.unmatched;
  const size_t shown = std::min<size_t>(20, left.size());
  if (options.quiet) return;
  log::warn(str(what, "; left out: ", std::vector(left.begin(), left.begin() + long(shown)),
                and_more(left.size(), shown)));
}

// A B of zeros adds nothing: most likely the adapter was never trained. One expert may never have
// been picked.
void expect_effect(const FittedAdapter& fitted, const AttachOptions& options) {
  std::vector<std::string> zeros;
  for (const AdapterModule& module : fitted.modules) {
    const bool used = std::any_of(module.b.begin(), module.b.end(),
                                  [](const Tensor& b) { return b.any().item<bool>(); });
    if (!used) zeros.push_back(module.tensors.at(1));
  }
  if (zeros.empty()) return;
  const std::string file = fitted.path.string();
  if (zeros.size() == fitted.modules.size()) {
    throw CheckpointError(str(file,
                              ": every lora_B is all zero, so it changes nothing. Was it saved "
                              "before it was trained?"));
  }
  const std::string what = str(file, ": tensor '", zeros[0], "'", and_more(zeros.size(), 1),
                               zeros.size() == 1 ? " is" : " are", " all zero");
  if (!options.allow_partial) {
    throw CheckpointError(
        str(what, ", so these layers change nothing. Is the file complete?", remedy(options)));
  }
  if (!options.quiet) log::warn(what);
}

}  // namespace

LinearShapes shapes_of(const LinearList& linears) {
  LinearShapes shapes;
  for (const auto& [path, linear] : linears) shapes[path] = {linear.out(), linear.in()};
  return shapes;
}

LinearShapes shapes_of(const Checkpoint& transformer) {
  const std::string weight = ".weight";
  LinearShapes shapes;
  for (const auto& [name, entry] : transformer.entries()) {
    const auto& shape = entry.info.shape;
    if (shape.size() != 2 || !name.ends_with(weight)) continue;
    const std::string module = name.substr(0, name.size() - weight.size());
    shapes[module] = {shape[0], matrix_inputs(transformer, module)};
  }
  return shapes;
}

FittedAdapter fit_adapter(const LinearShapes& linears, const AdapterFile& file) {
  FittedAdapter fitted{file.path, {}, {}, {}, file.unmatched, file.notes, file.modules.size()};
  std::set<std::string> all(file.unmatched.begin(), file.unmatched.end()), left = all;
  for (AdapterModule module : file.modules) {
    all.insert(module.tensors.begin(), module.tensors.end());
    const std::string what = misfit(linears, module, fitted.problems.empty());
    if (!what.empty()) {
      fitted.problems.push_back(what);
      for (const std::string& name : module.tensors)
        if (left.insert(name).second) fitted.unmatched.push_back(name);
      continue;
    }
    if (const int64_t missing = linears.at(module.module)[1] - module.in(); missing > 0) {
      module.a[0] = at::constant_pad_nd(module.a[0], {0, missing});
      fitted.padded.push_back(module.module);
    }
    fitted.modules.push_back(std::move(module));
  }
  // A fixed order, since optimizers sum over the modules.
  std::stable_partition(fitted.modules.begin(), fitted.modules.end(),
                        [](const AdapterModule& module) { return !module.has_router(); });
  if (!file.unmatched.empty()) {
    fitted.problems.push_back(
        str("tensor '", file.unmatched[0], "' ", unmatched_reason(file.unmatched[0])));
  }
  fitted.tensors_in_file = all.size();
  return fitted;
}

void expect_fit(const FittedAdapter& fitted, const AttachOptions& options) {
  if (!std::isfinite(options.scale)) {
    throw UsageError(
        str(fitted.path.string(), ": the scale is ", options.scale, ", expected a number"));
  }
  expect_modules(fitted, options);
  if (!options.allow_zero) expect_effect(fitted, options);
  if (fitted.padded.empty() || options.quiet) return;
  log::info(str(fitted.path.string(), ": lora_A of ", fitted.padded[0],
                fitted.padded.size() > 1 ? " and others" : "",
                " has fewer inputs than the model (made for FLUX.1-dev?); the others get zeros"));
}

}  // namespace icedit
