#include "train/expert_use.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <numeric>

namespace icedit {

std::vector<double> ExpertUse::shares(size_t layer) const {
  std::vector<double> shares = tokens[layer];
  const double all = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= all > 0 ? all : 1;
  return shares;
}

void ExpertUse::add(const ExpertUse& more) {
  if (layers.empty()) {
    *this = more;
    return;
  }
  std::vector<double> sum = figures();
  const std::vector<double> other = more.figures();
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += other.at(i);
  set_figures(sum);
}

std::vector<double> ExpertUse::figures() const {
  if (layers.empty()) return {};
  std::vector<double> figures = {balance_sum, balance_count};
  for (const auto& layer : tokens) figures.insert(figures.end(), layer.begin(), layer.end());
  return figures;
}

void ExpertUse::set_figures(const std::vector<double>& figures) {
  if (layers.empty()) return;
  balance_sum = figures.at(0);
  balance_count = figures.at(1);
  size_t next = 2;
  for (auto& layer : tokens)
    for (double& count : layer) count = figures.at(next++);
}

struct ExpertWatch::Counts {
  bool on = false;
  std::vector<Tensor> tokens;  // [E] f64 each
  std::vector<Tensor> balance;
  int64_t forwards = 0;

  void add(size_t layer, const MoeRouting& routing) {
    if (!on) return;
    const at::NoGradGuard no_grad;
    const Tensor indices = routing.indices.reshape({-1});
    tokens[layer] += at::bincount(indices, {}, tokens[layer].size(0)).to(at::kCPU, at::kDouble);
    balance[layer] += balance_loss(routing.logits, routing.indices).to(at::kCPU, at::kDouble);
  }
};

ExpertWatch::ExpertWatch(const LoadedAdapter& adapter) : counts_(std::make_shared<Counts>()) {
  for (const auto& layer : adapter.layers()) {
    if (!layer.adapter->has_router()) continue;
    layer.adapter->on_route = [counts = counts_, i = layers_.size()](const MoeRouting& routing) {
      counts->add(i, routing);
    };
    counts_->tokens.push_back(at::zeros({layer.adapter->experts()}, at::kDouble));
    counts_->balance.push_back(at::zeros({}, at::kDouble));
    layers_.push_back(layer);
  }
}

void ExpertWatch::balance(double weight) {
  for (const auto& layer : layers_) layer.adapter->balance_weight = weight;
}

void ExpertWatch::begin() {
  counts_->on = true;
  ++counts_->forwards;
}

void ExpertWatch::end() {
  counts_->on = false;
}

ExpertUse ExpertWatch::take() {
  ExpertUse use;
  for (size_t i = 0; i < layers_.size(); ++i) {
    Tensor& tokens = counts_->tokens[i];
    const double* counted = tokens.const_data_ptr<double>();
    use.layers.push_back(layers_[i].adapter->module);
    use.tokens.emplace_back(counted, counted + tokens.numel());
    use.balance_sum += counts_->balance[i].item<double>();
    tokens.zero_();
    counts_->balance[i].zero_();
  }
  use.balance_count = double(counts_->forwards) * double(layers_.size());
  counts_->forwards = 0;
  return use;
}

}  // namespace icedit
