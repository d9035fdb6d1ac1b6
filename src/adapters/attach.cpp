#include "adapters/attach.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

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

// Of every n-th of the touched Linears, n such that the measure above holds.
double relative_delta(const std::vector<AdapterModule>& modules,
                      const std::vector<LoadedAdapter::Layer>& layers, double scale) {
  const at::NoGradGuard no_grad;
  int64_t elements = 0;
  for (const auto& layer : layers) elements += layer.linear.in() * layer.linear.out();
  const size_t stride = size_t(elements / kMeasured) + 1;
  double delta = 0, weight = 0;
  for (size_t i = 0; i < layers.size(); i += stride) {
    delta += std::pow(modules[i].delta_norm() * scale, 2);
    weight += std::pow(layers[i].linear.weight().detach().norm(2, at::kFloat).item<double>(), 2);
  }
  return weight > 0 ? std::sqrt(delta / weight) : 0.0;
}

AttachReport report_of(const FittedAdapter& fitted, const AttachOptions& options, double delta) {
  std::set<std::string> tensors, blocks;
  std::set<int64_t> ranks;
  size_t mixtures = 0;
  for (const AdapterModule& module : fitted.modules) {
    tensors.insert(module.tensors.begin(), module.tensors.end());
    blocks.insert(block_of(module.module));
    ranks.insert(module.rank());
    mixtures += module.has_router();
  }
  AttachReport r = {options.name.empty() ? fitted.path.string() : options.name,
                    tensors.size(),
                    fitted.tensors_in_file,
                    blocks.size(),
                    fitted.modules.size(),
                    delta,
                    fitted.unmatched,
                    ""};
  std::ostringstream percent;
  percent.precision(3);
  percent << 100 * delta;
  r.line = str(r.name, ": ", r.tensors, " of ", counted(r.tensors_in_file, "tensor"), " on ",
               counted(r.layers, "layer"), " in ", counted(r.blocks, "block"), ", ",
               mixtures > 0 ? counted(mixtures, "mixture") + " among them, " : "", "rank ",
               *ranks.begin(), ranks.size() > 1 ? str(" to ", *ranks.rbegin()) : "", ", delta ",
               percent.str(), " % of the weights");
  return r;
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

LoadedAdapter::LoadedAdapter(AttachReport report, std::vector<Layer> layers,
                             std::shared_ptr<double> scale)
    : report_(std::move(report)), layers_(std::move(layers)), scale_(std::move(scale)) {}

void LoadedAdapter::set_scale(double scale) {
  *scale_ = scale;
  fold();
}

void LoadedAdapter::fold() {
  for (Layer& layer : layers_) layer.linear.fold();
}

void LoadedAdapter::detach() {
  for (Layer& layer : layers_) layer.linear.detach(layer.adapter.get());
  fold();
  layers_.clear();
}

std::vector<AdapterModule> LoadedAdapter::modules() const {
  std::vector<AdapterModule> modules;
  for (const Layer& layer : layers_) modules.push_back(*layer.adapter);
  return modules;
}

LoadedAdapter attach_adapter(LinearList& linears, const FittedAdapter& fitted,
                             const AttachOptions& options) {
  const std::map<std::string, Linear> by_path(linears.begin(), linears.end());
  const auto scale = std::make_shared<double>(options.scale);
  std::vector<LoadedAdapter::Layer> layers;
  for (const AdapterModule& module : fitted.modules) {
    Linear linear = by_path.at(module.module);
    const auto like = options_of(linear);
    const auto layer = std::make_shared<AdapterLayer>();
    static_cast<AdapterModule&>(*layer) = module;
    replace_tensors(*layer, [&](const std::string&, const Tensor& tensor) {
      return prepared(tensor, like, options.trainable);
    });
    layer->scale = scale;
    linear.attach(layer);
    layers.push_back({linear, layer});
  }
  AttachReport report =
      report_of(fitted, options, relative_delta(fitted.modules, layers, options.scale));
  if (!options.quiet) {
    for (const auto& note : fitted.notes) log::info(note);
    log::info(report.line);
  }
  return {std::move(report), std::move(layers), scale};
}

LoadedAdapter attach_adapter(LinearList& linears, const AdapterFile& file,
                             const AttachOptions& options) {
  const FittedAdapter fitted = fit_adapter(shapes_of(linears), file);
  expect_fit(fitted, options);
  return attach_adapter(linears, fitted, options);
}

}  // namespace icedit
