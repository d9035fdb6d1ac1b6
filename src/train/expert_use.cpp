#include "train/expert_use.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <numeric>
#include <utility>

namespace icedit {

std::vector<double> ExpertUse::shares(size_t layer) const {
  std::vector<double> shares = tokens[layer];
  const double all = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= all > 0 ? all : 1;
  return shares;
}

void ExpertUse::add(ExpertUse more) {
  if (layers.empty()) {
    *this = std::move(more);
    return;
  }
  const std::vector<double*> sums = figures(), others = more.figures();
  for (size_t i = 0; i < sums.size(); ++i) *sums[i] += *others.at(i);
}

std::vector<double*> ExpertUse::figures() {
  std::vector<double*> figures;
  if (layers.empty()) return figures;
  figures = {&balance_sum, &balance_count};
  for (auto& layer : tokens)
    for (double& count : layer) figures.push_back(&count);
  return figures;
}

struct ExpertWatch::Counts {
  bool on = false;
  ExpertUse use;
  std::vector<double> balance;  // the sum of each layer

  void add(size_t layer, const MoeRouting& routing) {
    if (!on) return;
    const at::NoGradGuard no_grad;
    std::vector<double>& tokens = use.tokens[layer];
    const Tensor indices = routing.indices.reshape({-1});
    const Tensor picks = at::bincount(indices, {}, int64_t(tokens.size())).to(at::kCPU);
    for (size_t e = 0; e < tokens.size(); ++e)
      tokens[e] += double(picks.const_data_ptr<int64_t>()[e]);
    balance[layer] += balance_loss(routing.logits, routing.indices).item<double>();
  }
};

ExpertWatch::ExpertWatch(const LoadedAdapter& adapter) : counts_(std::make_shared<Counts>()) {
  for (const auto& layer : adapter.layers()) {
    if (!layer.adapter->has_router()) continue;
    layer.adapter->on_route = [counts = counts_, i = layers_.size()](const MoeRouting& routing) {
      counts->add(i, routing);
    };
    counts_->use.layers.push_back(layer.adapter->module);
    counts_->use.tokens.emplace_back(layer.adapter->experts());
    counts_->balance.push_back(0);
    layers_.push_back(layer);
  }
}

void ExpertWatch::balance(double weight) {
  for (const auto& layer : layers_) layer.adapter->balance_weight = weight;
}

void ExpertWatch::begin() {
  counts_->on = true;
  counts_->use.balance_count += double(layers_.size());
}

void ExpertWatch::end() {
  counts_->on = false;
}

ExpertUse ExpertWatch::take() {
  ExpertUse taken = counts_->use;
  for (double& sum : counts_->balance) taken.balance_sum += std::exchange(sum, 0);
  for (double* figure : counts_->use.figures()) *figure = 0;
  return taken;
}

}  // namespace icedit
