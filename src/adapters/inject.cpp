#include "adapters/inject.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "adapters/fit.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/log.h"

namespace icedit {
namespace {

// Weights are read for their norms up to this many elements, so that a model that is mapped is not
// read as a whole.
constexpr int64_t kMeasured = int64_t{1} << 28;

// "transformer_blocks.3.attn.to_q" -> "transformer_blocks.3"; a layer outside of the blocks is its
// own.
std::string block_of(const std::string& module) {
  const size_t first = module.find('.');
  if (first == std::string::npos) return module;
  const size_t second = module.find('.', first + 1);
  const std::string head = module.substr(0, first);
  return head.ends_with("_blocks") ? module.substr(0, second) : module;
}

double moe_norm(const MoeModule& moe) {
  double squares = 0;
  for (size_t e = 0; e < moe.a.size(); ++e)
    squares += std::pow(product_norm(moe.a[e], moe.b[e]), 2);
  return std::sqrt(squares / double(moe.a.size())) *
         lora_scaling(moe.alpha, moe.a[0].size(0), false);
}

// Of every n-th of the touched Linears, n such that the measure above holds.
double relative_delta(const std::vector<ModuleReport>& modules, const std::vector<Linear>& linears,
                      double scale) {
  int64_t elements = 0;
  for (const Linear& linear : linears) elements += linear.in() * linear.out();
  const size_t stride = size_t(elements / kMeasured) + 1;
  double delta = 0, weight = 0;
  for (size_t i = 0; i < linears.size(); i += stride) {
    delta += std::pow(modules[i].delta_norm * scale, 2);
    weight += std::pow(linears[i].weight().detach().norm(2, at::kFloat).item<double>(), 2);
  }
  return weight > 0 ? std::sqrt(delta / weight) : 0.0;
}

AttachReport report_of(const FittedAdapter& fitted, const AdapterFile& file,
                       const AttachOptions& options) {
  const at::NoGradGuard no_grad;
  AttachReport report;
  report.name = options.name.empty() ? file.path.string() : options.name;
  report.unmatched = fitted.unmatched;
  std::set<std::string> tensors, all(file.unmatched.begin(), file.unmatched.end()), blocks;
  std::vector<Linear> linears;
  for (const auto& lora : file.lora) all.insert(lora.tensors.begin(), lora.tensors.end());
  for (const auto& moe : file.moe) all.insert(moe.tensors.begin(), moe.tensors.end());
  for (const auto& [lora, linear] : fitted.lora) {
    tensors.insert(lora.tensors.begin(), lora.tensors.end());
    const double norm =
        product_norm(lora.a, lora.b) * lora_scaling(lora.alpha, lora.a.size(0), lora.rslora);
    report.modules.push_back({lora.module, lora.a.size(0), 0, lora.alpha, norm});
    linears.push_back(linear);
  }
  for (const auto& [moe, linear] : fitted.moe) {
    tensors.insert(moe.tensors.begin(), moe.tensors.end());
    report.modules.push_back(
        {moe.module, moe.a[0].size(0), int64_t(moe.a.size()), moe.alpha, moe_norm(moe)});
    linears.push_back(linear);
  }
  for (const auto& module : report.modules) blocks.insert(block_of(module.module));
  report.blocks = blocks.size();
  report.tensors = tensors.size();
  report.tensors_in_file = all.size();
  report.relative_delta = relative_delta(report.modules, linears, options.scale);
  return report;
}

void say(const AttachReport& report, const AdapterFile& file) {
  for (const auto& note : file.notes) log::info(note);
  log::info(report.line());
}

void expect_finite(double scale, const AdapterFile& file) {
  if (!std::isfinite(scale))
    throw UsageError(str(file.path.string(), ": the scale is ", scale, ", expected a number"));
}

// Where and how a Linear computes.
at::TensorOptions options_of(const Linear& linear) {
  return (linear.bias().defined() ? linear.bias() : linear.weight()).options();
}

Tensor prepared(const Tensor& factor, const at::TensorOptions& like, bool trainable) {
  if (!trainable) return factor.to(like.device(), like.dtype().toScalarType()).contiguous();
  return factor.detach()
      .to(like.device(), at::kFloat)
      .clone(at::MemoryFormat::Contiguous)
      .requires_grad_(true);
}

}  // namespace

std::string AttachReport::line() const {
  std::set<int64_t> ranks;
  size_t mixtures = 0;
  for (const auto& module : modules) {
    ranks.insert(module.rank);
    mixtures += module.experts > 0;
  }
  const std::string rank =
      ranks.size() == 1 ? str(*ranks.begin()) : str(*ranks.begin(), " to ", *ranks.rbegin());
  std::ostringstream percent;
  percent.precision(3);
  percent << 100 * relative_delta;
  return str(name, ": ", tensors, " of ", counted(tensors_in_file, "tensor"), " on ",
             counted(modules.size(), "layer"), " in ", counted(blocks, "block"), ", ",
             mixtures > 0 ? counted(mixtures, "mixture") + " among them, " : "", "rank ", rank,
             ", delta ", percent.str(), " % of the weights");
}

LoadedAdapter::LoadedAdapter(AttachReport report, std::vector<Layer> layers,
                             std::shared_ptr<AdapterScale> scale)
    : report_(std::move(report)), layers_(std::move(layers)), scale_(std::move(scale)) {}

void LoadedAdapter::set_scale(double scale) {
  scale_->value = scale;
  fold();
}

void LoadedAdapter::enable(bool enabled) {
  scale_->enabled = enabled;
  fold();
}

void LoadedAdapter::fold() {
  for (Layer& layer : layers_) layer.linear.fold();
}

void LoadedAdapter::detach() {
  for (Layer& layer : layers_) {
    if (layer.lora) layer.linear.detach(layer.lora.get());
    if (layer.moe) layer.linear.detach(layer.moe.get());
  }
  fold();
  layers_.clear();
}

std::vector<std::pair<std::string, Tensor>> LoadedAdapter::tensors() const {
  std::vector<std::pair<std::string, Tensor>> named;
  for (const Layer& layer : layers_) {
    const std::string head = "transformer." + layer.module + ".lora_";
    if (layer.lora) {
      named.emplace_back(head + "A.weight", layer.lora->a);
      named.emplace_back(head + "B.weight", layer.lora->b);
      continue;
    }
    for (size_t e = 0; e < layer.moe->a.size(); ++e) {
      named.emplace_back(str(head, "A.expert_", e, ".weight"), layer.moe->a[e]);
      named.emplace_back(str(head, "B.expert_", e, ".weight"), layer.moe->b[e]);
    }
    named.emplace_back(head + "route.weight", layer.moe->route);
  }
  return named;
}

LoadedAdapter attach_adapter(LinearList& linears, const AdapterFile& file,
                             const AttachOptions& options) {
  expect_finite(options.scale, file);
  FittedAdapter fitted = fit_adapter(linears, file, options);
  const auto scale = std::make_shared<AdapterScale>();
  scale->value = options.scale;
  std::vector<LoadedAdapter::Layer> layers;
  for (auto& [lora, linear] : fitted.lora) {
    const auto like = options_of(linear);
    const auto layer = std::make_shared<LoraLayer>();
    layer->a = prepared(lora.a, like, options.trainable);
    layer->b = prepared(lora.b, like, options.trainable);
    layer->alpha = lora.alpha;
    layer->rslora = lora.rslora;
    layer->scale = scale;
    linear.attach(layer);
    layers.push_back({lora.module, linear, layer, nullptr});
  }
  for (auto& [moe, linear] : fitted.moe) {
    const auto like = options_of(linear);
    const auto layer = std::make_shared<MoeLoraLayer>();
    for (const auto& a : moe.a) layer->a.push_back(prepared(a, like, options.trainable));
    for (const auto& b : moe.b) layer->b.push_back(prepared(b, like, options.trainable));
    layer->route = prepared(moe.route, like, options.trainable);
    layer->alpha = moe.alpha;
    layer->top_k = moe.top_k;
    layer->scale = scale;
    linear.attach(layer);
    layers.push_back({moe.module, linear, nullptr, layer});
  }
  AttachReport report = report_of(fitted, file, options);
  if (!options.quiet) say(report, file);
  return {std::move(report), std::move(layers), scale};
}

void expect_fit(const LinearList& linears, const AdapterFile& file, const AttachOptions& options) {
  expect_finite(options.scale, file);
  fit_adapter(linears, file, options);
}

}  // namespace icedit
