#include "nn/norm.h"

#include <ATen/ATen.h>

#include "nn/observer.h"

namespace icedit {

Tensor layer_norm(const Tensor& x, double eps) {
  return at::layer_norm(x, {x.size(-1)}, {}, {}, eps);
}

LayerNorm::LayerNorm(const Weights& w, int64_t channels, double eps)
    : weight(w.tensor("weight", {channels})), bias(w.tensor("bias", {channels})), eps(eps) {}
Tensor LayerNorm::operator()(const Tensor& x) const {
  return at::layer_norm(x, {x.size(-1)}, weight, bias, eps);
}

RmsNorm::RmsNorm(const Weights& w, int64_t channels, double eps)
    : path(w.path()), weight(w.tensor("weight", {channels})), eps(eps) {}
Tensor RmsNorm::operator()(const Tensor& x) const {
  return observed(path, x, at::rms_norm(x, {x.size(-1)}, weight, eps));
}

GroupNorm::GroupNorm(const Weights& w, int64_t groups, int64_t channels, double eps)
    : weight(w.tensor("weight", {channels})),
      bias(w.tensor("bias", {channels})),
      groups(groups),
      eps(eps) {}
Tensor GroupNorm::operator()(const Tensor& x) const {
  return at::group_norm(x, groups, weight, bias, eps);
}

}  // namespace icedit
