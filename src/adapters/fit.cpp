#include "adapters/fit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "adapters/targets.h"
#include "base/error.h"
#include "base/log.h"

namespace icedit {
namespace {

constexpr const char* kPartial = " --lora-allow-partial loads the rest.";

class Fitting {
 public:
  Fitting(const LinearList& linears, const AdapterFile& file, const AttachOptions& options)
      : file_(file), options_(options), unmatched_(file.unmatched) {
    for (const auto& [path, linear] : linears) linears_.emplace(path, linear);
  }

  FittedAdapter run() {
    FittedAdapter fitted;
    for (const LoraModule& lora : file_.lora) {
      if (auto done = fit(lora)) fitted.lora.push_back(std::move(*done));
    }
    for (const MoeModule& moe : file_.moe) {
      if (auto done = fit(moe)) fitted.moe.push_back(std::move(*done));
    }
    if (fitted.lora.empty() && fitted.moe.empty()) fail_for_nothing();
    if (!file_.unmatched.empty()) {
      problem(str("tensor '", file_.unmatched[0], "' has a name that no layout has"), {});
    }
    if (!problems_.empty()) report_problems();
    if (!options_.allow_zero) expect_effect(fitted);
    if (!padded_.empty()) {
      log::info(str(
          file_.path.string(), ": lora_A of ", padded_[0], padded_.size() > 1 ? " and others" : "",
          " has fewer inputs than the model (made for FLUX.1-dev?); the others get zeros"));
    }
    fitted.unmatched = std::move(unmatched_);
    return fitted;
  }

 private:
  // Training takes an adapter whole or not at all.
  const char* remedy() const { return options_.trainable ? "" : kPartial; }

  std::optional<FittedLora> fit(const LoraModule& lora) {
    const auto found = linears_.find(lora.module);
    if (found == linears_.end()) return no_module(lora.module, lora.tensors);
    const Linear& linear = found->second;
    if (lora.b.size(0) != linear.out()) {
      return wrong_shape(lora.tensors[1], lora.b, str("[", linear.out(), ", ", lora.a.size(0), "]"),
                         lora.tensors);
    }
    if (lora.a.size(1) > linear.in()) {
      return wrong_shape(lora.tensors[0], lora.a, str("[", lora.a.size(0), ", ", linear.in(), "]"),
                         lora.tensors);
    }
    FittedLora fitted{lora, linear};
    if (const int64_t missing = linear.in() - lora.a.size(1); missing > 0) {
      fitted.lora.a = at::constant_pad_nd(lora.a, {0, missing});
      padded_.push_back(lora.module);
    }
    return fitted;
  }

  std::optional<FittedMoe> fit(const MoeModule& moe) {
    const auto found = linears_.find(moe.module);
    if (found == linears_.end()) return no_module(moe.module, moe.tensors);
    const Linear& linear = found->second;
    if (moe.route.size(1) != linear.in()) {
      return wrong_shape(moe.tensors[0], moe.route,
                         str("[", moe.route.size(0), ", ", linear.in(), "]"), moe.tensors);
    }
    if (moe.b[0].size(0) != linear.out()) {
      return wrong_shape(moe.tensors[2], moe.b[0],
                         str("[", linear.out(), ", ", moe.b[0].size(1), "]"), moe.tensors);
    }
    return FittedMoe{moe, linear};
  }

  std::nullopt_t no_module(const std::string& module, const std::vector<std::string>& tensors) {
    // Only the first problem is told; the nearest names of hundreds would take seconds.
    const std::string nearest =
        problems_.empty() ? str(" (the nearest are ", nearest_names(paths(), module, 2), ")") : "";
    problem(str("tensor '", tensors[0], "' is for ", module, ", which the model does not have",
                nearest),
            tensors);
    return std::nullopt;
  }

  std::nullopt_t wrong_shape(const std::string& name, const Tensor& got,
                             const std::string& expected, const std::vector<std::string>& tensors) {
    problem(str("tensor '", name, "' is ", got.sizes().vec(), ", expected ", expected), tensors);
    return std::nullopt;
  }

  void problem(const std::string& what, const std::vector<std::string>& tensors) {
    problems_.push_back(what);
    for (const auto& name : tensors) {
      if (std::find(unmatched_.begin(), unmatched_.end(), name) == unmatched_.end())
        unmatched_.push_back(name);
    }
  }

  void report_problems() const {
    const std::string what =
        str(file_.path.string(), ": ", problems_[0],
            problems_.size() > 1 ? str(", and ", problems_.size() - 1, " more like it") : "");
    if (!options_.allow_partial) {
      throw CheckpointError(str(what, ". Was it made for another model?", remedy()));
    }
    const size_t shown = std::min<size_t>(20, unmatched_.size());
    log::warn(
        str(what, "; left out: ",
            std::vector<std::string>(unmatched_.begin(), unmatched_.begin() + long(shown)),
            unmatched_.size() > shown ? str(" and ", unmatched_.size() - shown, " more") : ""));
  }

  [[noreturn]] void fail_for_nothing() const {
    throw CheckpointError(
        str(file_.path.string(), ": none of its ", file_.lora.size() + file_.moe.size(),
            " layers fits the model: ", problems_.empty() ? "" : problems_.front(),
            ". Was it made for another model?"));
  }

  // A B of zeros adds nothing: most likely the adapter was never trained.
  void expect_effect(const FittedAdapter& fitted) const {
    std::vector<std::string> zeros;
    for (const auto& [lora, linear] : fitted.lora) {
      if (!lora.b.any().item<bool>()) zeros.push_back(lora.tensors[1]);
    }
    // One expert may never have been picked.
    for (const auto& [moe, linear] : fitted.moe) {
      const bool used = std::any_of(moe.b.begin(), moe.b.end(),
                                    [](const Tensor& b) { return b.any().item<bool>(); });
      if (!used) zeros.push_back(moe.tensors[2]);
    }
    if (zeros.empty()) return;
    const bool all = zeros.size() == fitted.lora.size() + fitted.moe.size();
    const std::string what =
        str(file_.path.string(), ": ", all ? "every lora_B" : "tensor '", all ? "" : zeros[0],
            all ? "" : "'", zeros.size() > 1 && !all ? str(" and ", zeros.size() - 1, " more") : "",
            all || zeros.size() == 1 ? " is" : " are", " all zero");
    if (all)
      throw CheckpointError(
          str(what, ", so it changes nothing. Was it saved before it was trained?"));
    if (!options_.allow_partial) {
      throw CheckpointError(
          str(what, ", so these layers change nothing. Is the file complete?", remedy()));
    }
    log::warn(what);
  }

  std::vector<std::string> paths() const {
    std::vector<std::string> names;
    for (const auto& [path, linear] : linears_) names.push_back(path);
    return names;
  }

  const AdapterFile& file_;
  const AttachOptions& options_;
  std::map<std::string, Linear> linears_;
  std::vector<std::string> unmatched_, problems_, padded_;
};

}  // namespace

FittedAdapter fit_adapter(const LinearList& linears, const AdapterFile& file,
                          const AttachOptions& options) {
  return Fitting(linears, file, options).run();
}

}  // namespace icedit
